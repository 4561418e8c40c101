"""Children of all sorts: talked to, killed after a deadline, waited for by many."""
# healthy
import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE

PYTHON = [sys.executable, "-S", "-E", "-c"]
ECHO = "import sys\nfor line in sys.stdin: print('>', line.strip(), flush=True)"
FLOOD = "import sys; sys.stdout.write('x' * 1_000_000)"
SLEEP = "import time; time.sleep(60)"


async def start(code, **pipes):
    return await asyncio.create_subprocess_exec(*PYTHON, code, **pipes)


async def talk():
    process = await start(ECHO, stdin=PIPE, stdout=PIPE)
    answers = []
    for word in ("one", "two"):
        process.stdin.write(f"{word}\n".encode())
        await process.stdin.drain()
        answers.append((await process.stdout.readline()).decode().strip())
    process.stdin.close()
    await process.wait()
    return answers


async def flood():
    process = await start(FLOOD, stdout=PIPE)
    output, _ = await process.communicate()
    return len(output)


async def overdue():
    process = await start(SLEEP, stdout=DEVNULL)
    try:
        async with asyncio.timeout(0.2):
            await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


async def waited_for_by_many():
    process = await start("import time; time.sleep(1.2)")
    codes = await asyncio.gather(*(process.wait() for _ in range(3)))
    return codes


async def main():
    results = await asyncio.gather(talk(), flood(), overdue(), waited_for_by_many())
    print(results)


if __name__ == "__main__":
    asyncio.run(main())

"""A TCP proxy on uvloop with cancelled pumps, a subprocess and many small deadlines."""
# healthy
# requires: uvloop
import asyncio
import sys

import uvloop

CHILD = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)"


async def upstream(reader, writer):
    while line := await reader.readline():
        await asyncio.sleep(0.001)
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def pump(reader, writer):
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()


def make_proxy(port, finished):
    async def proxy(reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as group:
            down = group.create_task(pump(up_reader, writer), name="pump-down")
            await pump(reader, up_writer)
            down.cancel()
        for each in (writer, up_writer):
            each.close()
            await each.wait_closed()
        finished.release()

    return proxy


async def client(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    try:
        async with asyncio.timeout(3):
            for word in ("hello", "bye"):
                writer.write(f"{word} {number}\n".encode())
                answers.append((await reader.readline()).decode().strip())
        return answers
    finally:
        writer.close()
        await writer.wait_closed()


async def reverse(words):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-E", "-c", CHILD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate("\n".join(words).encode())
    return output.decode().split()


async def many_deadlines():
    expired = 0
    for _ in range(100):
        try:
            async with asyncio.timeout(0.001):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            expired += 1
    return expired


async def main():
    finished = asyncio.Semaphore(0)
    backend = await asyncio.start_server(upstream, "127.0.0.1", 0)
    port = backend.sockets[0].getsockname()[1]
    front = await asyncio.start_server(make_proxy(port, finished), "127.0.0.1", 0)
    port = front.sockets[0].getsockname()[1]
    answers = await asyncio.gather(*(client(port, number) for number in range(20)))
    print(len(answers), answers[7], await reverse(["abc", "def"]), await many_deadlines())
    async with asyncio.timeout(2):
        for _ in answers:
            await finished.acquire()
    for server in (front, backend):
        server.close()
        await server.wait_closed()


if __name__ == "__main__":
    uvloop.run(main())

"""Results cross threads as concurrent futures, each wrapped for the loop that awaits it."""
# healthy
import asyncio
import concurrent.futures
import threading

outcome = []


async def report(result):
    outcome.append(await asyncio.wrap_future(result))


def run_reporter(result):
    asyncio.run(report(result))


async def main():
    loop = asyncio.get_running_loop()
    result = concurrent.futures.Future()
    reporters = [threading.Thread(target=run_reporter, args=(result,)) for _ in range(3)]
    for reporter in reporters:
        reporter.start()
    await asyncio.sleep(0.1)
    result.set_result(42)
    for reporter in reporters:
        await asyncio.to_thread(reporter.join)
    answer = loop.create_future()
    threading.Timer(0.05, lambda: loop.call_soon_threadsafe(answer.set_result, "late")).start()
    print(outcome, await answer)


if __name__ == "__main__":
    asyncio.run(main())

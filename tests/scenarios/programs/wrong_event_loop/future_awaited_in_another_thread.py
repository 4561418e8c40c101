"""A future of the main loop is awaited by the loop of a helper thread."""
# mention: report
import asyncio
import threading

outcome = []


async def report(result):
    try:
        outcome.append(await result)  # expect: wrong_event_loop
    except RuntimeError as exc:
        outcome.append("different loop" in str(exc))


def run_reporter(result):
    asyncio.run(report(result))


async def main():
    result = asyncio.get_running_loop().create_future()
    reporter = threading.Thread(target=run_reporter, args=(result,), name="reporter")
    reporter.start()
    await asyncio.sleep(0.1)
    result.set_result(42)
    await asyncio.to_thread(reporter.join)
    print(outcome)


if __name__ == "__main__":
    asyncio.run(main())

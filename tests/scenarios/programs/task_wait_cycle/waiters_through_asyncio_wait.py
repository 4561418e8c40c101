"""Two supervisors wait for each other with asyncio.wait()."""
# mention: first, second
import asyncio

tasks = {}


async def supervise(other):
    await asyncio.sleep(0.01)
    await asyncio.wait([tasks[other]])  # expect: task_wait_cycle


async def main():
    tasks["first"] = asyncio.create_task(supervise("second"), name="first")
    tasks["second"] = asyncio.create_task(supervise("first"), name="second")
    await asyncio.sleep(0.8)
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    print("stuck")


asyncio.run(main())

"""A timer cancels a poller that takes the cancellation for an error and goes on."""
# mention: watch, poll, timer
import asyncio


class Poller:
    async def poll(self):
        for _ in range(10):
            try:
                await asyncio.sleep(0.1)  # expect: cancellation_swallowed
            except BaseException:  # expect: cancellation_swallowed
                print("again")

    def watch(self, task):
        asyncio.get_running_loop().call_later(0.25, task.cancel)  # expect: cancellation_swallowed


async def main():
    poller = Poller()
    task = asyncio.create_task(poller.poll(), name="poller")
    poller.watch(task)
    await asyncio.wait([task])
    print("ended")


asyncio.run(main())

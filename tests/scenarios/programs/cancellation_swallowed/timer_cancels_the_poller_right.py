"""A timer cancels a poller, which cleans up and ends."""
# healthy
import asyncio


class Poller:
    async def poll(self):
        for _ in range(10):
            try:
                await asyncio.sleep(0.1)
            except Exception:
                print("again")

    def watch(self, task):
        asyncio.get_running_loop().call_later(0.25, task.cancel)


async def main():
    poller = Poller()
    task = asyncio.create_task(poller.poll(), name="poller")
    poller.watch(task)
    await asyncio.wait([task])
    print("ended")


asyncio.run(main())

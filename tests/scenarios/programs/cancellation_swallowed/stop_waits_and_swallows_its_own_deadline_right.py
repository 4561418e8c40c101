"""asyncio.wait() does not raise for the worker, so that a CancelledError is one's own."""
# healthy
import asyncio


class Service:
    async def work(self):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)

    def start(self):
        self.task = asyncio.create_task(self.work(), name="service-worker")

    async def stop(self):
        self.task.cancel()
        await asyncio.wait([self.task])

    async def stop_carefully(self):
        self.task.cancel()
        try:
            await self.task
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():
                raise


async def main():
    service = Service()
    for stop in (service.stop, service.stop_carefully):
        service.start()
        await asyncio.sleep(0.02)
        async with asyncio.timeout(0.5):
            await stop()
        print("stopped in time")
        service.start()
        await asyncio.sleep(0.02)
        try:
            async with asyncio.timeout(0.01):
                await stop()
        except TimeoutError:
            print("deadline kept")
        await asyncio.wait([service.task])


if __name__ == "__main__":
    asyncio.run(main())

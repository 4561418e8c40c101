"""stop() expects the CancelledError of its worker and takes that of its own deadline for it."""
# mention: stop
import asyncio


class Service:
    async def work(self):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.5)

    def start(self):
        self.task = asyncio.create_task(self.work(), name="service-worker")

    async def stop(self):
        self.task.cancel()
        try:  # expect: cancellation_swallowed
            await self.task  # expect: cancellation_swallowed
        except asyncio.CancelledError:  # expect: cancellation_swallowed
            pass  # expect: cancellation_swallowed
        await self.write_farewell()

    async def write_farewell(self):
        await asyncio.sleep(0.3)
        print("farewell written")


async def main():
    service = Service()
    service.start()
    await asyncio.sleep(0.02)
    try:
        async with asyncio.timeout(0.2):
            await service.stop()
        print("stopped in time, allegedly")
    except TimeoutError:
        print("deadline kept")


if __name__ == "__main__":
    asyncio.run(main())

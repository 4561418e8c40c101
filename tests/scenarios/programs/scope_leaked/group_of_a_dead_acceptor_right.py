"""The acceptor stays inside its group until all connections are served."""
# healthy
import asyncio

served = []


async def serve_connection(number):
    await asyncio.sleep(0.05 * number)
    if number == 2:
        raise ConnectionResetError("peer went away")
    served.append(number)


class Acceptor:
    async def start(self):
        self.group = asyncio.TaskGroup()
        await self.group.__aenter__()
        for number in range(4):
            self.group.create_task(serve_connection(number), name=f"connection-{number}")

    async def stop(self):
        await self.group.__aexit__(None, None, None)


async def run_acceptor():
    acceptor = Acceptor()
    await acceptor.start()
    try:
        await acceptor.stop()
    except* ConnectionResetError as errors:
        print("failed:", len(errors.exceptions))


async def main():
    await asyncio.create_task(run_acceptor(), name="acceptor")
    print("served:", served)


if __name__ == "__main__":
    asyncio.run(main())

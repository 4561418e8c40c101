"""The acceptor enters an asyncio.TaskGroup for its connections and returns without leaving it."""
# mention: start, acceptor
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
        await self.group.__aenter__()  # expect: scope_leaked
        for number in range(4):
            self.group.create_task(serve_connection(number), name=f"connection-{number}")


async def main():
    acceptor = Acceptor()
    await asyncio.create_task(acceptor.start(), name="acceptor")
    await asyncio.sleep(0.4)
    print("served:", served)


if __name__ == "__main__":
    asyncio.run(main())

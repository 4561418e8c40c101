"""The consumer closes its end, so the producer hears of it; another consumer is only slow."""
# healthy
# requires: anyio
import anyio


async def consume(receive, seen, pause):
    async with receive:
        while len(seen) < 2:
            await anyio.sleep(pause)
            seen.append(await receive.receive())


async def produce(send):
    async with send:
        try:
            for number in range(5):
                await send.send(number)
        except anyio.BrokenResourceError:
            print("consumer has gone")


async def listen(receive, heard):
    async with receive:
        async for text in receive:
            heard.append(text)


async def main():
    for pause in (0, 1.2):
        send, receive = anyio.create_memory_object_stream(0)
        seen = []
        with anyio.move_on_after(4) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(consume, receive, seen, pause, name="consumer")
                group.start_soon(produce, send, name="producer")
        print("seen:", seen, "gave up:", scope.cancelled_caught)
    send, receive = anyio.create_memory_object_stream(1)
    heard = []
    async with anyio.create_task_group() as group:
        group.start_soon(listen, receive, heard, name="idle-listener")
        await send.send("hello")
        await anyio.sleep(0.5)
        group.cancel_scope.cancel()
    send.close()
    print(heard)


if __name__ == "__main__":
    anyio.run(main)

"""An anyio producer sends; the consumer has ended and left its end of the stream open."""
# requires: anyio
# mention: produce
import anyio


async def consume(receive, seen):
    while len(seen) < 2:
        seen.append(await receive.receive())


async def produce(send):
    for number in range(5):
        await send.send(number)  # expect: wait_never_resolved


async def main():
    send, receive = anyio.create_memory_object_stream(0)
    seen = []
    with anyio.move_on_after(1.4) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(consume, receive, seen, name="consumer")
            group.start_soon(produce, send, name="producer")
    send.close()
    receive.close()
    print("seen:", seen, "gave up:", scope.cancelled_caught)


if __name__ == "__main__":
    anyio.run(main)

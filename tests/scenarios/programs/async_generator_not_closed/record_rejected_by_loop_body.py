"""An error in the body of `async for` leaves the reader of an anyio stream open."""
# requires: anyio
# mention: records, load
import anyio


async def records(receive):
    async with receive:
        async for text in receive:
            yield text.strip()


async def load(receive, store):
    async for record in records(receive):  # expect: async_generator_not_closed
        store[int(record)] = record  # expect: async_generator_not_closed


async def main():
    send, receive = anyio.create_memory_object_stream(10)
    for text in (" 1 ", " 2 ", " three ", " 4 "):
        send.send_nowait(text)
    store = {}
    try:
        await load(receive, store)
    except ValueError as exc:
        failure = exc
        print("stopped by", type(exc).__name__, "after", sorted(store))
        print("receivers open:", send.statistics().open_receive_streams)
    await anyio.sleep(0.01)
    send.close()
    return failure


if __name__ == "__main__":
    anyio.run(main)

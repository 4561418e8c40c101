"""A line sent over TCP and back, again and again, both ends in one loop."""

import asyncio


async def echo(count: int) -> int:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    total = 0
    for number in range(count):
        writer.write(b"%d\n" % (number % 128))
        await writer.drain()
        total += int(await reader.readline())
    writer.close()
    await writer.wait_closed()
    server.close()
    await asyncio.sleep(0.01)
    return total

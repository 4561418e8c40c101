"""Send requests to the service over a few connections: `load.py PORT PATH REQUESTS`.

Prints one line of JSON: the number of answers by body.
"""

import asyncio
import json
import sys
from collections import Counter

CONNECTIONS = 8


async def connection(port: int, path: str, requests: int, bodies: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(requests):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        bodies[head.split(b" ")[1].decode() + " " + body.decode()] += 1
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    port, path, requests = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    bodies: Counter[str] = Counter()
    share = requests // CONNECTIONS
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(connection(port, path, share, bodies))
    sys.stdout.write(json.dumps(bodies) + "\n")


if __name__ == "__main__":
    asyncio.run(main())

"""Each run has a session of its own; one Runner keeps one session over several runs."""
# healthy
# requires: aiohttp
import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


class Client:
    session = None

    async def fetch_status(self, url):
        if self.session is None:
            self.session = aiohttp.ClientSession()
        async with self.session.get(url) as response:
            return await response.text()

    async def close(self):
        await self.session.close()
        self.session = None


async def fetch_and_close(client, url):
    try:
        return await client.fetch_status(url)
    finally:
        await client.close()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    client = Client()
    for attempt in ("first", "second"):
        print(attempt, asyncio.run(fetch_and_close(client, url)))
    with asyncio.Runner() as runner:
        for attempt in ("third", "fourth"):
            print(attempt, runner.run(client.fetch_status(url)))
        runner.run(client.close())
    server.shutdown()

"""A client session is made in one asyncio.run() and used in the next."""
# requires: aiohttp
# mention: fetch_status
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
        async with self.session.get(url) as response:  # expect: wrong_event_loop
            return await response.text()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = Client()
    for attempt in ("first", "second"):
        try:
            print(attempt, asyncio.run(client.fetch_status(f"http://127.0.0.1:{server.server_port}/")))
        except RuntimeError as exc:
            print(attempt, "run failed:", exc)
    server.shutdown()

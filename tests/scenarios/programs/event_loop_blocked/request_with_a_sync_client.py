"""urllib inside a coroutine: the loop waits for a slow server at the socket."""
# mention: fetch_rate
import asyncio
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.6)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"1.08")

    def log_message(self, *args):
        pass


async def fetch_rate(url):
    await asyncio.sleep(0.01)
    with urllib.request.urlopen(url) as response:  # expect: event_loop_blocked
        return response.read().decode()  # expect: event_loop_blocked


async def main(url):
    print("rate:", await fetch_rate(url))
    await asyncio.sleep(0.2)


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asyncio.run(main(f"http://127.0.0.1:{server.server_port}/"))
    server.shutdown()

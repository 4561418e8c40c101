"""urllib in a thread, and streams of asyncio; the server is as slow as before."""
# healthy
import asyncio
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.6)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"1.08")

    def log_message(self, *args):
        pass


def fetch_sync(url):
    with urllib.request.urlopen(url) as response:
        return response.read().decode()


async def fetch_rate(url):
    return await asyncio.to_thread(fetch_sync, url)


async def fetch_by_stream(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    text = await reader.read()
    writer.close()
    await writer.wait_closed()
    return text.decode().rsplit("\r\n", 1)[-1]


async def main(port):
    url = f"http://127.0.0.1:{port}/"
    print("rates:", await asyncio.gather(fetch_rate(url), fetch_by_stream(port)))


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asyncio.run(main(server.server_port))
    server.shutdown()

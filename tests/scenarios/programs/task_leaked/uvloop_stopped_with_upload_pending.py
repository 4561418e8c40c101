"""run_forever() on uvloop is stopped by a timer, while an upload is on its way."""
# requires: uvloop
# mention: upload-7, upload
import asyncio

import uvloop

uploads = {}


async def upload(number, done):
    await asyncio.sleep(1)
    done.append(number)


def on_request(loop, number, done):
    uploads[number] = loop.create_task(upload(number, done), name=f"upload-{number}")  # expect: task_leaked


def main():
    loop, done = uvloop.new_event_loop(), []
    loop.call_soon(on_request, loop, 7, done)
    loop.call_later(0.1, loop.stop)
    try:
        loop.run_forever()
    finally:
        loop.close()
    print("uploaded:", done)


if __name__ == "__main__":
    main()
    uploads.clear()

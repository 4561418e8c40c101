"""The timer asks main() to stop; uvloop.run() and Runner tidy up the rest."""
# healthy
# requires: uvloop
import asyncio

import uvloop

uploads = {}


async def upload(number, done):
    await asyncio.sleep(0.2)
    done.append(number)


def on_request(loop, number, done):
    uploads[number] = loop.create_task(upload(number, done), name=f"upload-{number}")


async def main(done):
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.call_soon(on_request, loop, 7, done)
    loop.call_later(0.05, stop.set)
    await stop.wait()
    await asyncio.wait([uploads[7]])
    uploads[8] = loop.create_task(asyncio.sleep(5), name="idle")


if __name__ == "__main__":
    done = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(done))
        runner.run(main(done))
    print("uploaded:", done, "idle cancelled:", uploads[8].cancelled())

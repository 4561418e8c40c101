"""The keep-alive loop takes the cancellation for a broken connection and tries again."""
# requires: anyio
# mention: keep_alive
import time

import anyio


async def ping(log):
    log.append("ping")
    await anyio.sleep(0.001)


async def keep_alive(log, give_up):
    while time.monotonic() < give_up:
        try:
            await ping(log)
        except BaseException:
            continue


async def main():
    log = []
    async with anyio.create_task_group() as group:  # expect: cancel_delivery_spin
        group.start_soon(keep_alive, log, time.monotonic() + 0.8, name="keep-alive")
        await anyio.sleep(0.05)
        before = len(log)
        group.cancel_scope.cancel()
    print("went on pinging after the end:", len(log) - before > 200)


if __name__ == "__main__":
    anyio.run(main)

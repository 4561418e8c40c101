"""Errors of the connection are caught, the cancellation gets through."""
# healthy
# requires: anyio
import time

import anyio


async def ping(log):
    log.append("ping")
    await anyio.sleep(0.001)
    if len(log) % 3 == 0:
        raise ConnectionError


async def keep_alive(log, give_up):
    while time.monotonic() < give_up:
        try:
            await ping(log)
        except Exception:
            continue
        except BaseException:
            log.append("bye")
            raise


async def main():
    log = []
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(keep_alive, log, time.monotonic() + 2, name="keep-alive")
        await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    print("said bye:", log.count("bye"))


if __name__ == "__main__":
    anyio.run(main)

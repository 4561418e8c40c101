"""A scan is cancelled between acquire and release of a capacity limiter."""
# requires: anyio
# mention: scan, token
import anyio

SERVICE = {}


async def scan(slots, folder, seconds, log):
    await slots.acquire()  # expect: lock_held_at_task_end
    await anyio.sleep(seconds)
    slots.release()
    log.append(folder)


async def main():
    slots, log = SERVICE.setdefault("slots", anyio.CapacityLimiter(2)), []
    with anyio.move_on_after(0.1):
        async with anyio.create_task_group() as group:
            group.start_soon(scan, slots, "/large", 5, log, name="scan-large")
            group.start_soon(scan, slots, "/small", 0.01, log, name="scan-small")
    print("scanned:", log, "tokens left:", slots.available_tokens)


if __name__ == "__main__":
    anyio.run(main)

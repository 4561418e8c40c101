"""Passwords are hashed on the thread of uvloop's loop."""
# requires: uvloop
# mention: hash_password
import asyncio
import hashlib
import time

import uvloop


def hash_password(password):
    digest, give_up = password.encode(), time.perf_counter() + 0.5
    while time.perf_counter() < give_up:
        digest = hashlib.pbkdf2_hmac("sha256", digest, b"salt", 2_000)  # expect: event_loop_blocked
    return len(digest)


async def sign_up(name, password):
    await asyncio.sleep(0.02)
    return name, hash_password(password)  # expect: event_loop_blocked


async def tick(gaps):
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(0.01)
        gaps.append(loop.time() - before)


async def main():
    gaps = []
    ticking = asyncio.create_task(tick(gaps), name="ticker")
    print(await sign_up("anna", "secret"))
    await asyncio.sleep(0.05)
    ticking.cancel()
    print("clock stood still:", max(gaps) > 0.3)


if __name__ == "__main__":
    uvloop.run(main())

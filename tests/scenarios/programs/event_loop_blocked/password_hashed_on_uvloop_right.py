"""Hashed in a thread, in small portions, and before the loop runs."""
# healthy
# requires: uvloop
import asyncio
import hashlib
import time

import uvloop


def hash_password(password, seconds=0.5):
    digest, give_up = password.encode(), time.perf_counter() + seconds
    while time.perf_counter() < give_up:
        digest = hashlib.pbkdf2_hmac("sha256", digest, b"salt", 2_000)
    return len(digest)


async def sign_up(name, password):
    await asyncio.sleep(0.02)
    return name, await asyncio.to_thread(hash_password, password)


async def sign_up_in_portions(name, password):
    for _ in range(50):
        length = hash_password(password, 0.01)
        await asyncio.sleep(0)
    return name, length


async def main():
    print(await asyncio.gather(sign_up("anna", "secret"), sign_up_in_portions("bert", "geheim")))


if __name__ == "__main__":
    print(hash_password("warm up", 0.4))
    uvloop.run(main())
    print(hash_password("cool down", 0.4))

"""A generator sets a context variable and is closed by a clean-up task, in another context."""
# mention: rows_of_tenant, clean-up
import asyncio
from contextvars import ContextVar

tenant = ContextVar("tenant", default="nobody")


async def rows_of_tenant(name):
    token = tenant.set(name)
    try:
        for number in range(3):
            await asyncio.sleep(0.001)
            yield f"{tenant.get()} {number}"
    finally:
        tenant.reset(token)


async def close_all(streams):
    for stream in streams:
        try:
            await stream.aclose()  # expect: async_generator_cross_task
            print("closed")
        except ValueError as exc:
            print("could not close:", "different Context" in str(exc))


async def main():
    rows = rows_of_tenant("anna")
    print(await anext(rows))
    await asyncio.create_task(close_all([rows]), name="clean-up")
    print("current tenant:", tenant.get())


if __name__ == "__main__":
    asyncio.run(main())

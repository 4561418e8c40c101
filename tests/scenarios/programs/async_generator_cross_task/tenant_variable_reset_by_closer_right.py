"""The variable is set around each step and not across a yield, so any task may close."""
# healthy
import asyncio
from contextvars import ContextVar

tenant = ContextVar("tenant", default="nobody")


async def fetch_row(number):
    await asyncio.sleep(0.001)
    return f"{tenant.get()} {number}"


async def rows_of_tenant(name):
    for number in range(3):
        token = tenant.set(name)
        try:
            row = await fetch_row(number)
        finally:
            tenant.reset(token)
        yield row


async def rows_of_own_tenant(name):
    token = tenant.set(name)
    try:
        for number in range(3):
            yield await fetch_row(number)
    finally:
        tenant.reset(token)


async def close_all(streams):
    for stream in streams:
        await stream.aclose()
        print("closed")


async def main():
    rows = rows_of_tenant("anna")
    print(await anext(rows))
    await asyncio.create_task(close_all([rows]), name="clean-up")
    own = rows_of_own_tenant("bert")
    print(await anext(own), tenant.get())
    await own.aclose()
    print("current tenant:", tenant.get())


if __name__ == "__main__":
    asyncio.run(main())

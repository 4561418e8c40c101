"""The supervisor is in the list as well, but leaves itself out when it waits."""
# healthy
import asyncio

services = []


async def serve(name):
    await asyncio.sleep(0.05)
    return name


async def supervise():
    services.append(asyncio.create_task(serve("web"), name="web"))
    services.append(asyncio.create_task(serve("mail"), name="mail"))
    me = asyncio.current_task()
    return await asyncio.gather(*(task for task in services if task is not me))


async def main():
    supervisor = asyncio.create_task(supervise(), name="supervisor")
    services.append(supervisor)
    done, _ = await asyncio.wait([supervisor], timeout=1.2)
    print("services done:", sorted(task.get_name() for task in services if task.done()))
    print(await asyncio.gather(*services))


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()

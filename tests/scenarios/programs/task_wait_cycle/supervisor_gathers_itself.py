"""A supervisor puts itself into the list of services and then gathers the list."""
# mention: supervisor, supervise
import asyncio

services = []


async def serve(name):
    await asyncio.sleep(0.05)
    return name


async def supervise():
    services.append(asyncio.create_task(serve("web"), name="web"))
    services.append(asyncio.create_task(serve("mail"), name="mail"))
    return await asyncio.gather(*services)  # expect: task_wait_cycle


async def main():
    supervisor = asyncio.create_task(supervise(), name="supervisor")
    services.append(supervisor)
    done, _ = await asyncio.wait([supervisor], timeout=1.2)
    print("services done:", [task.get_name() for task in services if task.done()])


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()

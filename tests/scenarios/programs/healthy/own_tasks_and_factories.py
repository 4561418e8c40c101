"""Task subclasses, task factories, debug mode and a loop subclass: all within the rules."""
# healthy
import asyncio
import contextvars

request_id = contextvars.ContextVar("request_id", default="-")


class NamedTask(asyncio.Task):
    def __init__(self, coro, **kwargs):
        super().__init__(coro, **kwargs)
        self.request = request_id.get()


class CountingLoop(asyncio.SelectorEventLoop):
    created = 0

    def create_task(self, coro, **kwargs):
        self.created += 1
        return super().create_task(coro, **kwargs)


def factory(loop, coro, **kwargs):
    return NamedTask(coro, loop=loop, **kwargs)


async def handle(number):
    request_id.set(f"request-{number}")
    child = asyncio.create_task(asyncio.sleep(0.001, number))
    return await child, child.request, type(child).__name__


async def main():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    print(await asyncio.gather(*(handle(number) for number in range(3))))
    context = contextvars.copy_context()
    context.run(request_id.set, "copied")
    print(await asyncio.create_task(read_id(), context=context), request_id.get())
    async with asyncio.TaskGroup() as group:
        inside = group.create_task(read_id(), context=context)
    print(inside.result(), type(inside).__name__, getattr(loop, "created", 0) > 0)


async def read_id():
    await asyncio.sleep(0)
    return request_id.get()


if __name__ == "__main__":
    asyncio.run(main())
    asyncio.run(main(), debug=True)
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main())

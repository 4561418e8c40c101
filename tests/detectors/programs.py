"""For each kind of finding a short program with the fault, and the same program done right.

`# here` marks the line to which the finding has to point; `function` is its qualified name.
The right twin has to be silent about every kind.
"""

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Program:
    """A fault and its repair."""

    kind: str
    function: str
    wrong: str
    right: str

    @property
    def line(self) -> int:
        """Return the number of the marked line."""
        lines = text(self.wrong).splitlines()
        (number,) = [n for n, line in enumerate(lines, 1) if "# here" in line]
        return number


def text(source: str) -> str:
    """Return a program with its imports."""
    head = "import asyncio, contextlib, gc, threading, time\nimport anyio\n\n\n"
    return head + dedent(source).strip() + "\n"


def replaced(source: str, *pairs: tuple[str, str]) -> str:
    """Return a program with some of its lines exchanged; each has to be there."""
    for old, new in pairs:
        assert old in source, old
        source = source.replace(old, new)
    return source


PROGRAMS: list[Program] = []


def _add(kind: str, function: str, wrong: str, *pairs: tuple[str, str], right: str = "") -> None:
    PROGRAMS.append(Program(kind, function, wrong, right or replaced(wrong, *pairs)))


_add(
    "cross_task_scope_exit",
    "Session.close",
    """
    class Session:
        async def open(self):
            self.deadline = asyncio.timeout(30)
            await self.deadline.__aenter__()

        async def close(self):
            await self.deadline.__aexit__(None, None, None)  # here


    async def main():
        session = Session()
        await asyncio.create_task(session.open(), name="opener")
        await session.close()


    asyncio.run(main())
    """,
    ('await asyncio.create_task(session.open(), name="opener")', "await session.open()"),
)
_add(
    "scope_nesting_violation",
    "main",
    """
    async def main():
        outer, inner = asyncio.timeout(30), asyncio.timeout(20)
        await outer.__aenter__()
        await inner.__aenter__()
        await outer.__aexit__(None, None, None)  # here
        await inner.__aexit__(None, None, None)


    asyncio.run(main())
    """,
    right="""
    async def main():
        outer, inner = asyncio.timeout(30), asyncio.timeout(20)
        await outer.__aenter__()
        await inner.__aenter__()
        await inner.__aexit__(None, None, None)
        await outer.__aexit__(None, None, None)


    asyncio.run(main())
    """,
)
_add(
    "scope_leaked",
    "connect",
    """
    kept = []


    async def connect():
        deadline = asyncio.timeout(30)
        kept.append(deadline)
        await deadline.__aenter__()  # here
        return 5


    async def main():
        await asyncio.create_task(connect())
        await asyncio.sleep(0.1)


    asyncio.run(main())
    """,
    ("return 5", "await deadline.__aexit__(None, None, None)"),
)
_add(
    "cancel_delivery_spin",
    "stubborn",
    """
    async def stubborn():
        with anyio.CancelScope() as scope:  # here
            scope.cancel()
            turns = 0
            until = time.monotonic() + 0.6
            while time.monotonic() < until:
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    turns += 1


    asyncio.run(stubborn())
    """,
    ("turns += 1", "raise"),
)
_add(
    "async_generator_not_closed",
    "main",
    """
    async def rows():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)


    async def main():
        found = rows()
        async for row in found:  # here
            break
        del found
        gc.collect()
        await asyncio.sleep(0.05)


    asyncio.run(main())
    """,
    ("break\n", "break\n        await found.aclose()\n"),
)
_add(
    "async_generator_cross_task",
    "closer",
    """
    async def rows():
        async with asyncio.timeout(30):
            yield 1
            yield 2


    async def closer(found):
        async with contextlib.aclosing(found):  # here
            pass


    async def main():
        found = rows()
        await anext(found)
        await asyncio.create_task(closer(found), name="closer")


    asyncio.run(main())
    """,
    ('asyncio.create_task(closer(found), name="closer")', "closer(found)"),
)
_add(
    "task_leaked",
    "main",
    """
    async def work():
        await asyncio.sleep(60)


    async def main():
        task = asyncio.create_task(work())  # here
        await asyncio.sleep(0)
        return task


    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(main())
    loop.close()
    """,
    ("return task", "task.cancel()\n        await asyncio.wait([task])"),
)
_add(
    "task_garbage_collected",
    "main",
    """
    async def work():
        await asyncio.get_running_loop().create_future()


    async def main():
        kept = []
        asyncio.create_task(work())  # here
        await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0.05)


    asyncio.run(main())
    """,
    ("asyncio.create_task(work())  # here", "kept.append(asyncio.create_task(work()))"),
)
_add(
    "task_exception_never_retrieved",
    "main",
    """
    async def work():
        await asyncio.sleep(0)
        raise ValueError("lost")


    async def main():
        task = asyncio.create_task(work())  # here
        await asyncio.sleep(0.05)


    asyncio.run(main())
    """,
    ("await asyncio.sleep(0.05)", "await asyncio.wait([task])\n        print(task.exception())"),
)
_add(
    "gather_orphan",
    "main",
    """
    async def fails():
        await asyncio.sleep(0.01)
        raise ValueError("first")


    async def slow():
        await asyncio.sleep(0.3)


    async def main():
        try:
            await asyncio.gather(fails(), slow())  # here
        except ValueError:
            print("failed")
        await asyncio.sleep(0.4)


    asyncio.run(main())
    """,
    ("asyncio.gather(fails(), slow())", "asyncio.gather(fails(), slow(), return_exceptions=True)"),
)
_add(
    "cancellation_swallowed",
    "worker",
    """
    async def worker():
        while True:
            try:
                await asyncio.sleep(0.2)  # here
            except asyncio.CancelledError:
                print("not now")


    async def main():
        task = asyncio.create_task(worker(), name="stubborn")
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.8)


    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    """,
    ('print("not now")', 'print("ends")\n                raise'),
)
_add(
    "cancellation_slow",
    "worker",
    """
    async def worker():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1.4)  # here


    async def main():
        task = asyncio.create_task(worker())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])


    asyncio.run(main())
    """,
    ("await asyncio.sleep(1.4)", "await asyncio.sleep(0.01)"),
)
_add(
    "lock_deadlock",
    "take",
    """
    async def take(first, second):
        async with first:
            await asyncio.sleep(0.01)
            async with second:  # here
                pass


    async def main():
        a, b = asyncio.Lock(), asyncio.Lock()
        one = asyncio.create_task(take(a, b), name="one")
        two = asyncio.create_task(take(b, a), name="two")
        await asyncio.wait([one, two], timeout=0.3)
        one.cancel()
        await asyncio.wait([one, two])


    asyncio.run(main())
    """,
    ("take(b, a)", "take(a, b)"),
)
_add(
    "lock_reentry",
    "renew",
    """
    lock = asyncio.Lock()


    async def renew():
        try:
            async with asyncio.timeout(0.2):
                async with lock:  # here
                    pass
        except TimeoutError:
            print("timeout")


    async def main():
        async with lock:
            await asyncio.sleep(0)
            await renew()


    asyncio.run(main())
    """,
    (
        "await asyncio.sleep(0)\n            await renew()",
        "await asyncio.sleep(0)\n        await renew()",
    ),
)
_add(
    "lock_released_by_other_task",
    "watchdog",
    """
    lock = asyncio.Lock()


    async def writer():
        await lock.acquire()
        await asyncio.sleep(0.05)
        if lock.locked():
            lock.release()


    async def watchdog():
        if lock.locked():
            lock.release()  # here


    async def main():
        task = asyncio.create_task(writer(), name="writer")
        await asyncio.sleep(0.01)
        await watchdog()
        await task


    asyncio.run(main())
    """,
    ("await watchdog()\n        await task", "await task\n        await watchdog()"),
)
_add(
    "lock_held_at_task_end",
    "worker",
    """
    lock = asyncio.Lock()


    async def worker():
        await lock.acquire()  # here
        await asyncio.sleep(0)


    async def main():
        await asyncio.create_task(worker(), name="worker")
        await asyncio.sleep(0.1)


    asyncio.run(main())
    """,
    ("await asyncio.sleep(0)\n", "await asyncio.sleep(0)\n        lock.release()\n"),
)
_add(
    "lock_contention",
    "request",
    """
    lock = asyncio.Lock()


    async def request(seconds):
        async with lock:  # here
            await asyncio.sleep(seconds)


    async def main():
        await asyncio.gather(request(1.3), request(0.01))


    asyncio.run(main())
    """,
    ("request(1.3)", "request(0.02)"),
)
_add(
    "event_loop_blocked",
    "work",
    """
    async def work():
        await asyncio.sleep(0.1)
        time.sleep(0.6)  # here


    asyncio.run(work())
    """,
    ("time.sleep(0.6)", "await asyncio.to_thread(time.sleep, 0.6)"),
)
_add(
    "task_wait_cycle",
    "follow",
    """
    tasks = {}


    async def follow(name):
        await asyncio.sleep(0)
        await tasks[name]  # here


    async def main():
        tasks["one"] = asyncio.create_task(follow("two"), name="one")
        tasks["two"] = asyncio.create_task(follow("one"), name="two")
        await asyncio.wait(tasks.values(), timeout=0.8)


    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    """,
    ('create_task(follow("one"), name="two")', 'create_task(asyncio.sleep(0.2), name="two")'),
)
_add(
    "wait_never_resolved",
    "ask",
    """
    async def reader(reply):
        await asyncio.sleep(0.05)
        if reply is None:
            reply.set_result(1)


    async def ask(reply):
        return await reply  # here


    async def main():
        reply = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(reader(reply), name="reader")
        try:
            async with asyncio.timeout(1.5):
                await ask(reply)
        except TimeoutError:
            print("no reply")


    asyncio.run(main())
    """,
    ("if reply is None", "if reply is not None"),
)
_add(
    "shield_orphan",
    "handler",
    """
    async def save():
        await asyncio.sleep(0.3)


    async def handler():
        await asyncio.shield(save())  # here


    async def main():
        task = asyncio.create_task(handler())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.5)


    asyncio.run(main())
    """,
    right="""
    async def save():
        await asyncio.sleep(0.3)


    async def handler():
        saving = asyncio.create_task(save())
        try:
            await asyncio.shield(saving)
        except asyncio.CancelledError:
            await saving
            raise


    async def main():
        task = asyncio.create_task(handler())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])


    asyncio.run(main())
    """,
)
_add(
    "coroutine_never_awaited",
    "main",
    """
    async def notify():
        print("told")


    async def main():
        notify()  # here
        await asyncio.sleep(0)


    asyncio.run(main())
    """,
    ("notify()  # here", "await notify()"),
)
_add(
    "wrong_event_loop",
    "use",
    """
    lock = asyncio.Lock()


    async def use():
        try:
            async with lock:  # here
                await asyncio.sleep(0.01)
        except RuntimeError as error:
            print("other loop")


    async def main():
        await asyncio.gather(use(), use())


    asyncio.run(main())
    asyncio.run(main())
    """,
    ("asyncio.run(main())\n    asyncio.run(main())", "asyncio.run(main())"),
)

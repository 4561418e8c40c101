"""Things that a program can see of asyncio; each returns what it saw.

A probe gets a function that runs a coroutine on the loop that is tried. What it returns has
to be the same with and without the agent.
"""

import asyncio
import contextlib
import contextvars
import gc
import io
import logging
import re
import signal
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Probe = Callable[[Run], Any]

PROBES: dict[str, Probe] = {}


def probe(function: Probe) -> Probe:
    """Enter a function into the table of probes."""
    PROBES[function.__name__] = function
    return function


def plain(text: str) -> str:
    """Return a text without addresses and numbers of tasks."""
    text = re.sub(r"(0x|cancel scope )[0-9a-f]+", r"\1", text)
    return re.sub(r"Task-\d+", "Task-N", text)


def told(error: BaseException) -> str:
    """Return the whole traceback of an exception."""
    return plain("".join(traceback.format_exception(error)))


async def quick() -> int:
    await asyncio.sleep(0)
    return 1


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("bad")


async def caught(awaitable: Any) -> str:
    try:
        await awaitable
    except (Exception, asyncio.CancelledError) as error:
        return told(error)
    return "nothing"


@contextlib.contextmanager
def no_collector() -> Any:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Thing:
    """Something that can be watched by a weak reference."""


# -- tasks ---------------------------------------------------------------------------------


@probe
def task_repr(run: Run) -> Any:
    async def main() -> list[str]:
        task = asyncio.create_task(quick(), name="t")
        seen = [repr(task)]
        await asyncio.sleep(0)
        seen.append(repr(task))
        waiter = asyncio.create_task(asyncio.wait([task]))
        await asyncio.sleep(0)
        seen.append(repr(task))
        await waiter
        return [plain(text) for text in [*seen, repr(task), str(task), ascii(task)]]

    return run(main())


@probe
def task_type(run: Run) -> Any:
    async def main() -> Any:
        task: Any = asyncio.current_task()
        kind = type(task)
        return (
            kind is asyncio.Task,
            asyncio.Task is asyncio.tasks.Task,
            (kind.__name__, kind.__qualname__, kind.__module__, kind.__doc__),
            asyncio.get_running_loop().get_task_factory(),
            isinstance(task, asyncio.Future),
        )

    return run(main())


@probe
def done_callbacks(run: Run) -> Any:
    async def main() -> Any:
        calls: list[Any] = []
        task: Any = asyncio.create_task(quick())
        for n in range(3):
            task.add_done_callback(lambda _, n=n: calls.append(n))
        count = len(task._callbacks or ())
        await task
        await asyncio.sleep(0)
        return calls, count, task.remove_done_callback(print)

    return run(main())


@probe
def ready_handles(run: Run) -> Any:
    async def main() -> Any:
        loop: Any = asyncio.get_running_loop()
        ready = getattr(loop, "_ready", ())
        seen = [len(ready)]
        task = asyncio.create_task(quick())
        seen.append(len(ready))
        for _ in range(4):
            await asyncio.sleep(0)
            seen.append(len(ready))
        async with asyncio.timeout(5), asyncio.Lock():
            seen.append(len(ready))
        return task.done(), seen, len(getattr(loop, "_scheduled", ()))

    return run(main())


@probe
def interleaving(run: Run) -> Any:
    async def main() -> Any:
        log: list[str] = []
        lock, queue = asyncio.Lock(), asyncio.Queue[int](1)

        async def worker(name: str) -> None:
            for n in range(3):
                async with lock:
                    log.append(f"{name}{n}")
                    await queue.put(n)
                    await asyncio.sleep(0)
                log.append(f"{name}-{await queue.get()}")

        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(worker(name))
            log.append("body")
        return log

    return run(main())


@probe
def coroutine_and_stack(run: Run) -> Any:
    async def main() -> Any:
        coro = quick()
        task = asyncio.create_task(coro)
        await asyncio.sleep(0)
        text = io.StringIO()
        task.print_stack(file=text)
        names = [frame.f_code.co_name for frame in task.get_stack()]
        same = task.get_coro() is coro
        await task
        return same, names, plain(text.getvalue()), len(asyncio.all_tasks())

    return run(main())


@probe
def task_names(run: Run) -> Any:
    async def main() -> Any:
        one = asyncio.create_task(quick(), name="first")
        two = asyncio.create_task(quick(), name=5)  # type: ignore[arg-type]  # made into text
        three = asyncio.create_task(quick())
        before = [one.get_name(), two.get_name(), plain(three.get_name())]
        one.set_name("renamed")
        await asyncio.gather(one, two, three)
        return before, one.get_name()

    return run(main())


@probe
def numbers_of_tasks(run: Run) -> Any:
    async def main() -> Any:
        first = asyncio.create_task(quick()).get_name()
        second = asyncio.create_task(quick()).get_name()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return int(second.split("-")[1]) - int(first.split("-")[1])

    return run(main())


@probe
def create_task_errors(run: Run) -> Any:
    async def main() -> Any:
        create: Any = asyncio.get_running_loop().create_task
        found = []
        for args, kwargs in (((), {}), ((3,), {}), ((quick,), {}), ((None,), {"nme": 1})):
            try:
                create(*args, **kwargs)
            except TypeError as error:
                found.append(str(error))
        return found

    return run(main())


@probe
def cancel_messages_and_counts(run: Run) -> Any:
    async def main() -> Any:
        seen: list[Any] = []

        async def work() -> None:
            task: Any = asyncio.current_task()
            for _ in range(2):
                try:
                    await asyncio.sleep(5)
                except asyncio.CancelledError as error:
                    seen.append((error.args, task.cancelling(), task.uncancel()))
            await asyncio.sleep(0)

        task: Any = asyncio.create_task(work())
        await asyncio.sleep(0)
        seen.append(task.cancel("one"))
        await asyncio.sleep(0)
        seen.append(task.cancel(msg="two"))
        await asyncio.wait([task])
        seen += [task.cancel(), task.cancelled(), task.cancelling()]
        other: Any = asyncio.create_task(asyncio.sleep(5))
        seen.append(asyncio.Task.cancel(other))
        with contextlib.suppress(TypeError):
            other.cancel(1, 2, 3)
        return [*seen, await caught(other)]

    return run(main())


@probe
def odd_factories(run: Run) -> Any:
    class Odd:
        __slots__ = ()

        def set_name(self, name: str) -> None: ...

    class Own(asyncio.Task):  # type: ignore[type-arg]
        pass

    def odd(loop: Any, coro: Any, **_: Any) -> Any:
        coro.close()
        return Odd()

    def future(loop: Any, coro: Any, **_: Any) -> Any:
        coro.close()
        return loop.create_future()

    def own(loop: Any, coro: Any, **kwargs: Any) -> Any:
        return Own(coro, loop=loop, **kwargs)

    def python(loop: Any, coro: Any, **kwargs: Any) -> Any:
        return asyncio.tasks._PyTask(coro, loop=loop, **kwargs)  # type: ignore[attr-defined]

    async def main() -> Any:
        loop: Any = asyncio.get_running_loop()
        found: list[Any] = []
        for factory in (odd, future, own, python):
            loop.set_task_factory(factory)
            try:
                task = loop.create_task(quick())
                found.append(type(task).__name__)
                if isinstance(task, asyncio.Task) or type(task).__module__ == "asyncio.tasks":
                    found.append(await task)
            finally:
                loop.set_task_factory(None)
        return found

    return run(main())


@probe
def factory_that_fails(run: Run) -> Any:
    def fails(loop: Any, coro: Any, **_: Any) -> Any:
        coro.close()
        raise LookupError("no task today")

    async def main() -> Any:
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(fails)
        try:
            return loop.create_task(quick())
        except LookupError as error:
            return told(error)
        finally:
            loop.set_task_factory(None)

    return run(main())


@probe
def contexts(run: Run) -> Any:
    variable = contextvars.ContextVar("variable", default=0)

    async def count() -> Any:
        variable.set(variable.get() + 1)
        return len(contextvars.copy_context()), variable.get()

    async def main() -> Any:
        own = contextvars.Context()
        before = len(contextvars.copy_context())
        results = [
            await asyncio.create_task(count()),
            await asyncio.create_task(count(), context=own),
            await count(),
        ]
        return [n - before for n, _ in results], [v for _, v in results], len(own), variable.get()

    return run(main()), variable.get()


# -- memory --------------------------------------------------------------------------------


@probe
def everything_is_freed_at_once(run: Run) -> Any:
    async def main() -> Any:
        async def work(big: Thing, lock: asyncio.Lock) -> Thing:
            async with asyncio.timeout(5), lock, asyncio.TaskGroup() as group:
                group.create_task(quick())
            return Thing()

        lock = asyncio.Lock()
        big = Thing()
        task = asyncio.create_task(work(big, lock))
        watched: list[Any] = [weakref.ref(big), weakref.ref(task), weakref.ref(lock)]
        del big
        watched.append(weakref.ref(await task))
        await asyncio.sleep(0)
        del task, lock
        return [ref() is None for ref in watched]

    with no_collector():
        return run(main())


@probe
def exceptions_are_freed_at_once(run: Run) -> Any:
    async def main() -> Any:
        async def fails(thing: Thing) -> None:
            raise ValueError(thing)

        thing = Thing()
        gone: list[Any] = [weakref.ref(thing)]
        task = asyncio.create_task(fails(thing))
        try:
            await task
        except ValueError as error:
            gone.append(weakref.ref(error))
        del task, thing
        await asyncio.sleep(0)
        return [ref() is None for ref in gone]

    with no_collector():
        return run(main())


@probe
def cancelled_tasks_are_freed_at_once(run: Run) -> Any:
    async def main() -> Any:
        async def waits(thing: Thing, lock: asyncio.Lock) -> None:
            async with lock:
                await asyncio.sleep(5)

        thing, lock = Thing(), asyncio.Lock()
        gone: list[Any] = [weakref.ref(thing)]
        async with lock:
            task = asyncio.create_task(waits(thing, lock))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        gone.append(weakref.ref(task))
        del task, thing
        await asyncio.sleep(0)
        return [ref() is None for ref in gone]

    with no_collector():
        return run(main())


@probe
def reference_counts(run: Run) -> Any:
    async def main() -> Any:
        coro = quick()
        before = sys.getrefcount(coro)
        task = asyncio.create_task(coro)
        counts = [sys.getrefcount(coro) - before, sys.getrefcount(task)]
        await asyncio.sleep(0)
        counts += [sys.getrefcount(coro) - before, sys.getrefcount(task)]
        await task
        await asyncio.sleep(0)
        counts += [sys.getrefcount(coro) - before, sys.getrefcount(task)]
        lock = asyncio.Lock()
        async with lock:
            counts.append(sys.getrefcount(lock))
        return [*counts, sys.getrefcount(lock)]

    with no_collector():
        return run(main())


@probe
def reports_of_the_interpreter(run: Run) -> Any:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        messages: list[Any] = []
        loop.set_exception_handler(
            lambda _, context: messages.append((context["message"], sorted(context)))
        )

        async def forever() -> None:
            await loop.create_future()

        kept = weakref.ref(asyncio.create_task(forever()))
        failed = asyncio.create_task(fail())
        for _ in range(3):
            await asyncio.sleep(0)
        del failed
        messages.append(("before the collection", []))
        gc.collect()
        loop.call_soon(int, "x")
        await asyncio.sleep(0)
        return kept() is None, [(re.sub(" at .*|<.*", "", m), keys) for m, keys in messages]

    with no_collector():
        return run(main())


@probe
def log_of_the_default_handler(run: Run) -> Any:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("asyncio")

    async def main() -> None:
        asyncio.get_running_loop().call_soon(int, "x")
        await asyncio.sleep(0)
        asyncio.create_task(fail(), name="t")  # noqa: RUF006 # lost on purpose
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()

    with no_collector():
        logger.addHandler(handler)
        try:
            run(main())
        finally:
            logger.removeHandler(handler)
    lines = plain(stream.getvalue()).splitlines()
    return [line for line in lines if not line.startswith("Executing ")]  # slow on a busy machine


@probe
def never_awaited(run: Run) -> Any:
    async def main() -> Any:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            quick()  # type: ignore[unused-coroutine]  # never awaited
            gc.collect()
        return [(item.category.__name__, item.lineno, str(item.message)) for item in seen]

    return run(main())


# -- exceptions ----------------------------------------------------------------------------


@probe
def tracebacks(run: Run) -> Any:
    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(asyncio.sleep(5))

    async def timeout() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(5)

    async def locked() -> None:
        asyncio.Lock().release()

    async def full() -> None:
        asyncio.BoundedSemaphore(1).release()

    async def nested() -> None:
        try:
            await fail()
        except ValueError as error:
            raise KeyError("outer") from error

    async def main() -> Any:
        return [
            await caught(awaitable)
            for awaitable in (
                asyncio.create_task(fail()),
                asyncio.gather(fail(), quick()),
                asyncio.wait_for(asyncio.sleep(5), 0.001),
                asyncio.wait_for(fail(), 5),
                asyncio.shield(fail()),
                group(),
                timeout(),
                locked(),
                full(),
                nested(),
            )
        ]

    return run(main())


@probe
def identity_of_exceptions(run: Run) -> Any:
    error = ValueError("one")

    async def raises() -> None:
        raise error

    async def main() -> Any:
        found = []
        for make in (asyncio.create_task, asyncio.shield, asyncio.gather, asyncio.ensure_future):
            try:
                await make(raises())
            except ValueError as caught_error:
                found.append(caught_error is error)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(raises())
        except ExceptionGroup as errors:
            found.append(errors.exceptions[0] is error)
        return found, error.__context__, error.__cause__, getattr(error, "__notes__", None)

    return run(main())


@probe
def base_exceptions_pass(run: Run) -> Any:
    found = []
    for kind in (KeyboardInterrupt, SystemExit, GeneratorExit):

        async def main(kind: type[BaseException] = kind) -> None:
            async with asyncio.timeout(5), asyncio.Lock():
                raise kind(7)

        try:
            run(main())
        except BaseException as error:
            found.append(
                (
                    type(error).__name__,
                    error.args,
                    len(traceback.extract_tb(error.__traceback__)) > 1,
                )
            )
    return found


@probe
def errors_of_run(run: Run) -> Any:
    async def main() -> Any:
        coro = quick()
        try:
            asyncio.run(coro)
        except RuntimeError as error:
            return str(error)
        finally:
            coro.close()

    found = [run(main())]
    for wrong in (3, None, quick):
        try:
            run(wrong)  # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            found.append(plain(str(error)))
    for ask in (asyncio.current_task, asyncio.get_running_loop, lambda: asyncio.timeout(1)):
        try:
            found.append(repr(ask()))
        except RuntimeError as error:
            found.append(str(error))
    return found


# -- synchronisation -----------------------------------------------------------------------


@probe
def locks(run: Run) -> Any:
    seen: list[Any] = []

    async def take(name: str, lock: Any) -> None:
        async with lock:
            seen.append(name)
            await asyncio.sleep(0)

    async def main() -> Any:
        things: tuple[Any, ...] = (asyncio.Lock(), asyncio.Semaphore(1), asyncio.Condition())
        for lock in things:
            async with lock:
                tasks = [asyncio.create_task(take(name, lock)) for name in "abc"]
                await asyncio.sleep(0)
                tasks[1].cancel()
                seen.append(plain(repr(lock)))
            await asyncio.wait(tasks)
            seen.extend([plain(repr(lock)), lock.locked(), sorted(vars(lock))])
        return seen

    return run(main())


@probe
def free_lock_does_not_yield(run: Run) -> Any:
    async def main() -> Any:
        steps: list[str] = []
        asyncio.get_running_loop().call_soon(steps.append, "loop")
        async with asyncio.Lock(), asyncio.Semaphore(2), asyncio.Condition():
            steps.append("in")
        return list(steps)

    return run(main())


@probe
def barriers(run: Run) -> Any:
    async def main() -> list[Any]:
        barrier, seen = asyncio.Barrier(2), list[Any]()

        async def pass_by() -> None:
            async with barrier as place:
                seen.append(place)

        async def broken_by(end: Callable[[asyncio.Task[None]], Any]) -> str:
            task = asyncio.create_task(pass_by())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await end(task)
            return await caught(task)

        async def cancel(task: "asyncio.Task[None]") -> None:
            task.cancel("why")

        await asyncio.gather(*(pass_by() for _ in range(6)))
        seen.append(plain(repr(barrier)))
        for end in (cancel, lambda _: barrier.reset(), lambda _: barrier.abort()):
            seen.append(await broken_by(end))
        seen.append(await caught(pass_by()))
        return [*seen, barrier.broken, barrier.n_waiting, plain(repr(barrier))]

    return run(main())


@probe
def events_queues_conditions(run: Run) -> Any:
    async def main() -> Any:
        event, queue, condition = asyncio.Event(), asyncio.Queue[int](1), asyncio.Condition()
        seen: list[Any] = []

        async def consumer() -> None:
            await event.wait()
            for _ in range(3):
                seen.append(await queue.get())
                queue.task_done()
            async with condition:
                condition.notify_all()

        task = asyncio.create_task(consumer())
        await asyncio.sleep(0)
        seen += [plain(repr(event)), plain(repr(queue))]
        event.set()
        for n in range(3):
            await queue.put(n)
        async with condition:
            if not task.done():
                await asyncio.wait_for(condition.wait(), 5)
        await queue.join()
        await task
        getter = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        seen.append(plain(repr(queue)))
        getter.cancel()
        return [*seen, await caught(getter), plain(repr(queue))]

    return run(main())


@probe
def await_chain_of_a_waiting_task(run: Run) -> Any:
    async def main() -> Any:
        lock, event, queue = asyncio.Lock(), asyncio.Event(), asyncio.Queue[int]()
        await lock.acquire()
        chains: list[Any] = []
        for make in (lock.acquire, event.wait, queue.get):

            async def waiter(make: Any = make) -> None:
                await make()

            task = asyncio.create_task(waiter())
            await asyncio.sleep(0)
            step: Any = task.get_coro()
            while hasattr(step, "cr_await"):
                chains.append(
                    (step.__qualname__, sorted(step.cr_frame.f_locals), step.cr_frame.f_lineno)
                )
                step = step.cr_await
            chains.append(type(step).__name__)
            task.cancel()
            await asyncio.wait([task])
        return chains

    return run(main())


@probe
def timeouts(run: Run) -> Any:
    async def main() -> Any:
        seen: list[Any] = []
        async with asyncio.timeout(60) as outer:
            seen += [re.sub(r"[\d.]+", "N", plain(repr(outer))), outer.expired()]
            outer.reschedule(None)
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(5)
            except TimeoutError as error:
                seen.append((type(error.__cause__).__name__, error.args))
        seen.append(repr(outer))
        for wrong in (outer.__aenter__(), asyncio.timeout(1).__aexit__(None, None, None)):
            seen.append((await caught(wrong)).splitlines()[-1])
        return seen

    return run(main())


@probe
def gather_and_shield(run: Run) -> Any:
    async def main() -> Any:
        seen: list[Any] = [await asyncio.gather(), await asyncio.gather(quick(), quick())]
        together: Any = asyncio.gather(quick(), fail(), return_exceptions=True)
        seen += [plain(repr(together)), type(together).__name__, [str(x) for x in await together]]
        inner = asyncio.create_task(quick())
        outer = asyncio.shield(inner)
        seen += [plain(repr(outer)), plain(repr(inner))]
        outer.cancel()
        seen += [await inner, outer.cancelled(), asyncio.shield(inner) is inner]
        both = asyncio.gather(asyncio.sleep(5), asyncio.sleep(5))
        await asyncio.sleep(0)
        both.cancel("stop")
        return [*seen, (await caught(both)).splitlines()[-1]]

    return run(main())


# -- generators ----------------------------------------------------------------------------


async def numbers(log: list[str]) -> Any:
    try:
        for n in range(3):
            yield n
    finally:
        log.append("closed")


@probe
def generator_hooks(run: Run) -> Any:
    async def main() -> Any:
        loop: Any = asyncio.get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        same = [
            hooks.firstiter == getattr(loop, "_asyncgen_firstiter_hook", None),
            hooks.finalizer == getattr(loop, "_asyncgen_finalizer_hook", None),
        ]
        return same, type(sys.set_asyncgen_hooks).__name__

    return tuple(sys.get_asyncgen_hooks()), run(main()), tuple(sys.get_asyncgen_hooks())


@probe
def generators_end_as_ever(run: Run) -> Any:
    async def main() -> Any:
        log: list[str] = []
        found = [n async for n in numbers(log)]
        async with contextlib.aclosing(numbers(log)) as closing:
            found.append(await anext(closing))
        left = numbers(log)
        found.append(await anext(left))
        gone = weakref.ref(left)
        del left
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
        thrown = numbers(log)
        await anext(thrown)
        return found, log, gone() is None, await caught(thrown.athrow(KeyError("in")))

    return run(main())


@probe
def generator_used_twice_at_once(run: Run) -> Any:
    async def slow() -> Any:
        yield 1
        await asyncio.sleep(0)
        yield 2

    async def main() -> Any:
        found = slow()
        await anext(found)
        first = asyncio.create_task(caught(anext(found)))
        await asyncio.sleep(0)
        second, third = await caught(anext(found)), await caught(found.aclose())
        return second, third, await first, await caught(found.aclose())

    return run(main())


# -- the process ---------------------------------------------------------------------------


@probe
def threads_and_signals(run: Run) -> Any:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        kept = signal.getsignal(signal.SIGINT)
        future = asyncio.run_coroutine_threadsafe(quick(), loop)
        return (
            threading.active_count(),
            [thread.name for thread in threading.enumerate()],
            getattr(kept, "__name__", type(kept).__name__),
            await asyncio.wrap_future(future),
            loop.get_debug(),
            sys.get_coroutine_origin_tracking_depth(),
            sys.gettrace(),
            sys.getprofile(),
        )

    return run(main()), threading.active_count(), signal.getsignal(signal.SIGINT)


@probe
def handles(run: Run) -> Any:
    async def main() -> Any:
        loop: Any = asyncio.get_running_loop()
        handle, timer = loop.call_soon(print), loop.call_later(60, print)
        seen = [plain(re.sub(r"when=\S+", "", repr(item))) for item in (handle, timer)]
        handle.cancel()
        timer.cancel()
        return [re.sub(r" at .*", "", text) for text in seen]

    return run(main())


@probe
def created_at_in_debug_mode(run: Run) -> Any:
    async def main() -> Any:
        task: Any = asyncio.create_task(quick())
        where = list(getattr(task, "_source_traceback", None) or ())
        await task
        return [(frame.filename, frame.name, frame.lineno) for frame in where[-3:]]

    return run(main())


@probe
def loops_can_be_stopped_and_closed(run: Run) -> Any:
    loop = asyncio.new_event_loop()
    seen: list[Any] = []
    loop.call_soon(loop.stop)
    loop.run_forever()
    seen += [loop.is_running(), loop.run_until_complete(quick())]
    loop.close()
    loop.close()
    coro = quick()
    for use in (loop.run_forever, lambda: loop.create_task(coro), lambda: loop.call_soon(print)):
        try:
            use()
        except RuntimeError as error:
            seen.append(plain(str(error)))
    coro.close()
    return [*seen, loop.is_closed(), plain(repr(loop))]

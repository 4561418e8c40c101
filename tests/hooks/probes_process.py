"""Things of the whole process that a program sets for itself and has to get back as they were."""

import asyncio
import gc
import sys
import threading
import traceback
from types import FrameType
from typing import Any

from tests.hooks.probes import Run, probe

OURS = "autoinstrument"


async def numbers() -> Any:
    yield 1
    yield 2


async def some_of_everything() -> None:
    lock = asyncio.Lock()
    async with lock, asyncio.timeout(60):
        await asyncio.create_task(asyncio.sleep(0))
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
    async for _ in numbers():
        pass
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


def _is_a_heartbeat(handle: Any) -> bool:
    """Whether a callback is our heartbeat, sent where a turn lasts, or the wake-up for it."""
    callback = getattr(handle, "_callback", None)
    name = getattr(callback, "__name__", "")
    return name == "_read_from_self" or type(callback).__module__.startswith(OURS)


@probe
def own_trace_function(run: Run) -> Any:
    """Each line of the program and of asyncio, as a debugger or coverage sees them."""
    seen: list[Any] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        outer = frame.f_back
        if OURS in code.co_filename or (outer is not None and OURS in outer.f_code.co_filename):
            return None  # ours, and what ours calls
        if code.co_name == "_run" and _is_a_heartbeat(frame.f_locals.get("self")):
            return None
        if "/asyncio/" in code.co_filename or code.co_filename == __file__:
            seen.append((event, code.co_name, frame.f_lineno))
        return trace

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 60.0  # a slow one is logged
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await some_of_everything()
            await asyncio.sleep(0)
        finally:
            sys.settrace(before)

    run(main())
    # the selector's turns depend on the time, and so does what wakes it
    waiting = {"_run_once", "_process_events", "select", "time", "_timer_handle_cancelled"}
    waiting |= {"_add_callback", "_read_from_self", "_process_self_data"}
    return [one for one in seen if one[1] not in waiting]


@probe
def own_profile_function(run: Run) -> Any:
    seen: list[str] = []

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename == __file__:
            seen.append(frame.f_code.co_name)

    async def main() -> Any:
        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            await some_of_everything()
        finally:
            sys.setprofile(before)

    run(main())
    return seen


@probe
def own_generator_hooks(run: Run) -> Any:
    """A program may set hooks of its own around those of the loop."""
    calls: list[str] = []

    async def main() -> Any:
        before = sys.get_asyncgen_hooks()

        def first(generator: Any) -> None:
            calls.append("first")
            before.firstiter(generator)  # type: ignore[misc]  # the loop's, which is there

        sys.set_asyncgen_hooks(first, before.finalizer)
        try:
            found = [n async for n in numbers()]
            return found, sys.get_asyncgen_hooks().firstiter is first
        finally:
            sys.set_asyncgen_hooks(*before)

    return run(main()), calls


@probe
def own_collector_callbacks(run: Run) -> Any:
    """The program's callbacks come once for each collection that it asks for, and none of ours."""
    phases: list[str] = []

    def callback(phase: str, facts: dict[str, int]) -> None:
        phases.append(phase)

    async def main() -> Any:
        await some_of_everything()
        gc.collect()
        return len(gc.callbacks)

    gc.disable()
    gc.callbacks.append(callback)
    try:
        return run(main()), phases
    finally:
        gc.callbacks.remove(callback)
        gc.enable()


@probe
def own_hooks_for_errors(run: Run) -> Any:
    seen: list[Any] = []
    before = sys.excepthook, sys.unraisablehook, threading.excepthook
    sys.unraisablehook = lambda facts: seen.append(("unraisable", facts.exc_type.__name__))
    threading.excepthook = lambda facts: seen.append(
        ("thread", [step.name for step in traceback.extract_tb(facts.exc_traceback)][1:])
    )

    class Bad:
        def __del__(self) -> None:
            raise LookupError

    def fails() -> None:
        raise ValueError

    async def main() -> None:
        bad = Bad()
        await asyncio.sleep(0)
        del bad
        await asyncio.to_thread(lambda: None)
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()

    try:
        run(main())
        return seen
    finally:
        sys.excepthook, sys.unraisablehook, threading.excepthook = before


@probe
def own_handler_and_factory(run: Run) -> Any:
    async def main() -> Any:
        loop = asyncio.get_running_loop()

        def handler(loop: Any, facts: dict[str, Any]) -> None:
            seen.append(sorted(facts))

        seen: list[Any] = []
        loop.set_exception_handler(handler)
        loop.call_soon(int, "x")
        await asyncio.sleep(0)
        seen.append(loop.get_exception_handler() is handler)

        def factory(loop: Any, coro: Any, **options: Any) -> Any:
            seen.append(sorted(options))
            return asyncio.Task(coro, loop=loop, **options)

        loop.set_task_factory(factory)
        try:
            await asyncio.create_task(asyncio.sleep(0))
            return seen, loop.get_task_factory() is factory
        finally:
            loop.set_task_factory(None)

    return run(main())

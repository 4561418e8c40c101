"""Installed once, taken out without a trace, and put in again."""

import asyncio
import sys
import threading
import weakref
from typing import Any

from autoinstrument import agent as agents
from autoinstrument.hooks.patching import Patches
from tests.hooks.conftest import Install
from tests.hooks.state import attributes, differences, loaded

WOVEN = [
    (asyncio.BaseEventLoop, "create_task"),
    (asyncio.BaseEventLoop, "run_forever"),
    (asyncio.Lock, "acquire"),
    (asyncio.Queue, "get"),
    (asyncio.TaskGroup, "__aexit__"),
    (asyncio.Timeout, "__aenter__"),
    (asyncio.tasks, "gather"),
    (asyncio.tasks, "shield"),
]


def codes() -> list[Any]:
    return [vars(holder)[name].__code__ for holder, name in WOVEN]


def test_functions_keep_their_identity_and_get_their_code_back(install: Install) -> None:
    functions, before = [vars(holder)[name] for holder, name in WOVEN], codes()
    install()
    assert [vars(holder)[name] for holder, name in WOVEN] == functions
    assert all(new is not old for new, old in zip(codes(), before, strict=True))
    agents.uninstall()
    assert all(new is old for new, old in zip(codes(), before, strict=True))


def test_every_hook_is_in_place(install: Install) -> None:
    agent = install()
    off = [(hook.target, hook.detail) for hook in agent.patches.states if hook.state == "off"]
    late = [("asyncio.Task", "installed after uvloop or in a loop")]
    assert off == (late if sys.version_info < (3, 12) else [])
    names = {hook.name for hook in agent.patches.states}
    assert {"tasks", "scopes", "locks", "generators", "loops", "gather", "shield"} <= names
    assert {"anyio scopes", "anyio locks", "uvloop", "cancellation origins"} <= names


def test_second_install_is_the_first(install: Install) -> None:
    first = install()
    before = codes()
    assert install() is first
    assert codes() == before
    assert agents.current() is first


def test_uninstall_twice_or_without_install_does_nothing(install: Install) -> None:
    agents.uninstall()
    install()
    agents.uninstall()
    modules = loaded()
    before = attributes(modules)
    agents.uninstall()
    assert differences(before, attributes(modules)) == []
    assert agents.current() is None


def test_installed_again_it_watches_again(install: Install) -> None:
    first = install()
    asyncio.run(asyncio.sleep(0))
    agents.uninstall()
    seen = first.world.tasks.created
    asyncio.run(asyncio.sleep(0))
    assert first.world.tasks.created == seen > 0
    second = install()
    asyncio.run(asyncio.sleep(0))
    assert second is not first
    assert second.world.tasks.created > 0
    assert first.world.tasks.created == seen


def test_taken_out_while_a_loop_runs(install: Install) -> None:
    agent = install()

    async def main() -> list[Any]:
        lock, log = asyncio.Lock(), []

        async def worker(name: str) -> None:
            async with asyncio.timeout(5), lock:
                await asyncio.sleep(0.001)
                log.append(name)

        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(worker(name))
            await asyncio.sleep(0)
            agents.uninstall()
            group.create_task(worker("d"))
        return log

    assert asyncio.run(main()) == ["a", "b", "c", "d"]
    assert agents.current() is None
    assert agent.watch.ident == 0


def test_installed_while_a_loop_runs(install: Install) -> None:
    async def main() -> Any:
        lock = asyncio.Lock()
        await lock.acquire()

        async def waits() -> str:
            async with asyncio.timeout(5):
                async with lock:
                    return "got"

        early = asyncio.create_task(waits())
        await asyncio.sleep(0)
        agent = install()
        late = asyncio.create_task(waits(), name="late")
        await asyncio.sleep(0)
        lock.release()
        results = await asyncio.gather(early, late)
        return results, agent.world.tasks.record_of(late)

    results, record = asyncio.run(main())
    assert results == ["got", "got"]
    assert record.name == "late"


def test_other_patches_on_top_of_ours_are_kept(install: Install) -> None:
    import uvloop

    install()
    ours = vars(uvloop.Loop)["create_task"]

    def theirs(self: Any, coro: Any, **kwargs: Any) -> Any:
        return ours(self, coro, **kwargs)

    uvloop.Loop.create_task = theirs  # type: ignore[method-assign]  # as other tools do
    try:
        agents.uninstall()
        assert vars(uvloop.Loop)["create_task"] is theirs
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(asyncio.sleep(0, 5)) == 5
    finally:
        del uvloop.Loop.create_task


def test_other_code_on_top_of_ours_is_kept(install: Install) -> None:
    function: Any = asyncio.Lock.release
    before = function.__code__
    install()
    try:
        theirs = function.__code__.replace(co_name="release")
        function.__code__ = theirs
        agents.uninstall()
        assert function.__code__ is theirs
    finally:
        function.__code__ = before


def test_patches_restore_in_reverse_order() -> None:
    class Holder:
        kept = 1

    patches = Patches(print)
    patches.set("part", Holder, "kept", 2)
    patches.set("part", Holder, "kept", 3)
    patches.set("part", Holder, "new", 4)
    patches.undo()
    assert Holder.kept == 1
    assert not hasattr(Holder, "new")


def test_thread_is_hidden_and_gone_after_uninstall(install: Install) -> None:
    agent = install()

    async def main() -> int:
        await asyncio.sleep(0.12)
        return threading.active_count()

    before = threading.active_count()
    assert asyncio.run(main()) == before
    assert agent.watch.ident in sys._current_frames()
    agents.uninstall()
    assert agent.watch.ident == 0


def test_no_host_object_is_kept_alive(install: Install) -> None:
    import gc

    agent = install()
    gone: list[Any] = []

    class FailureError(Exception):
        pass

    async def main() -> None:
        lock, queue = asyncio.Lock(), asyncio.Queue[int]()

        async def numbers() -> Any:
            yield 1

        async def work() -> None:
            async with asyncio.timeout(5) as scope, lock:
                queue.put_nowait(1)
                await queue.get()
                generator = numbers()
                async for _ in generator:
                    pass
                error = FailureError()
                gone.extend(weakref.ref(thing) for thing in (scope, generator, error))
                raise error

        task = asyncio.create_task(work())
        gone.extend(weakref.ref(thing) for thing in (task, task.get_coro(), lock, queue))
        await asyncio.wait([task])
        task.exception()
        gone.append(weakref.ref(asyncio.get_running_loop()))

    asyncio.run(main())
    gc.collect()
    assert [ref() for ref in gone if ref() is not None] == []
    assert len(gone) == 8
    assert agent.world.tasks.live == {}
    assert agent.world.scopes.open == []
    assert agent.world.resources.locks == {}
    assert agent.world.generators.live == []

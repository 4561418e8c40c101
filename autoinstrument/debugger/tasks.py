"""All tasks of the debuggee, who awaits whom, and running on until a given one resumes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from .breakpoints import function_lines
from .errors import DebuggerError, DebugTimeout, NotStopped
from .model import BreakpointSpec, Stop, integer, objects, text
from .remote_code import call_in_debuggee

if TYPE_CHECKING:
    from .client import AsyncDebugClient
    from .dap import JsonObject

_MAX_CHAIN: Final = 100
_ON_TASK: Final = (
    "(lambda a: a._get_running_loop() is not None and id(a.current_task()) == {id})"
    "(__import__('asyncio'))"
)


@dataclass(frozen=True, slots=True)
class TaskFrame:
    """A line of a task's coroutine chain."""

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """An unfinished task of the debuggee.

    Attributes:
        id: Identity in the debuggee, valid while the task lives.
        running_in_thread: `threading.get_ident()` of the thread that executes it; `None` if parked.
        waits_for: Type of the future it waits for, `""` if it is ready or running.
        frames: Coroutines from the task's own to the innermost one, each at its parked line.
        awaited_by: `id`s of the tasks that wait for this one.
        error: Why the task could not be read.
    """

    id: int
    name: str
    coroutine: str = ""
    running_in_thread: int | None = None
    cancelling: int = 0
    waits_for: str = ""
    frames: tuple[TaskFrame, ...] = ()
    awaited_by: tuple[int, ...] = ()
    error: str = ""

    @property
    def parked(self) -> TaskFrame | None:
        """The innermost frame: where the task waits, or is."""
        return self.frames[-1] if self.frames else None


async def fetch_tasks(client: AsyncDebugClient) -> list[TaskInfo]:
    """Return all unfinished tasks of the debuggee."""
    answer = await client.evaluate(call_in_debuggee("tasks_as_json"))
    try:
        found = json.loads(answer.result)
    except ValueError as exc:
        raise DebuggerError(f"no list of tasks came back: {answer.result[:200]!r}") from exc
    return [_read(raw) for raw in objects(found, "tasks")]


async def fetch_awaiting_chain(client: AsyncDebugClient, frame_id: int | None) -> list[TaskInfo]:
    """Return the stopped task and, one after the other, the tasks that wait for it."""
    if frame_id is None:
        frames = await client.stack_trace(levels=1)
        if not frames:
            raise NotStopped("the stopped thread shows no frame")
        frame_id = frames[0].id
    answer = await client.evaluate(call_in_debuggee("current_task_id"), frame_id)
    tasks = {task.id: task for task in await fetch_tasks(client)}
    chain: list[TaskInfo] = []
    task = tasks.get(int(answer.result))
    while task is not None and task not in chain and len(chain) < _MAX_CHAIN:
        chain.append(task)
        task = next((tasks[n] for n in task.awaited_by if n in tasks), None)
    return chain


async def run_until_resumed(
    client: AsyncDebugClient, wanted: TaskInfo | str, timeout_s: float | None
) -> Stop:
    """Set conditional breakpoints on the task's parked functions, run, and remove them again."""
    task = await _find(client, wanted)
    condition = _ON_TASK.format(id=task.id)
    before = client.line_breakpoints()
    places = _places(task)
    if not places:
        raise DebuggerError(f"task {task.name!r} has no frame whose file can be read here")
    try:
        for path, lines in places.items():
            own = before.get(path, [])
            taken = {spec.line: spec for spec in own}
            extra = [BreakpointSpec(n, condition) for n in lines if n not in taken]
            widened = [_widen(spec, condition) if spec.line in lines else spec for spec in own]
            await client.set_breakpoints(path, [*widened, *extra])
        return await _run(client, timeout_s)
    finally:
        if client.connected:
            for path in places:
                await client.set_breakpoints(path, before.get(path, []))


async def _run(client: AsyncDebugClient, timeout_s: float | None) -> Stop:
    limit = client.options.request_timeout_s if timeout_s is None else timeout_s
    try:
        await client.continue_()
        return await client.wait_stopped(limit)
    except DebugTimeout as exc:
        raise DebugTimeout(f"the task did not run within {limit} s") from exc


def _widen(spec: BreakpointSpec, condition: str) -> BreakpointSpec:
    # One line holds one breakpoint: let the one that is there stop for the task as well.
    if spec.condition is None or spec.log_message or spec.hit_condition:
        return spec
    return replace(spec, condition=f"({condition}) or ({spec.condition})")


async def _find(client: AsyncDebugClient, wanted: TaskInfo | str) -> TaskInfo:
    tasks = await fetch_tasks(client)
    if isinstance(wanted, TaskInfo):
        found = [task for task in tasks if task.id == wanted.id]
    else:
        found = [task for task in tasks if task.name == wanted]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(task.name for task in tasks)[:20]) or "none"
    label = wanted.name if isinstance(wanted, TaskInfo) else wanted
    raise DebuggerError(f"{len(found)} tasks are named {label!r}; there are: {names}")


def _places(task: TaskInfo) -> dict[str, set[int]]:
    """Return the lines that the task can reach next, by file."""
    found: dict[str, set[int]] = {}
    for frame in task.frames:
        lines = function_lines(frame.file, frame.line)
        if lines:
            found.setdefault(frame.file, set()).update(lines)
    return found


def _read(raw: JsonObject) -> TaskInfo:
    thread = raw.get("running_in_thread")
    awaited_by = raw.get("awaited_by")
    return TaskInfo(
        id=integer(raw, "id"),
        name=text(raw, "name"),
        coroutine=text(raw, "coroutine"),
        running_in_thread=thread if isinstance(thread, int) else None,
        cancelling=integer(raw, "cancelling"),
        waits_for=text(raw, "waits_for"),
        frames=tuple(
            TaskFrame(text(entry, "file"), integer(entry, "line"), text(entry, "function"))
            for entry in objects(raw, "frames")
        ),
        awaited_by=tuple(n for n in awaited_by if isinstance(n, int))
        if isinstance(awaited_by, list)
        else (),
        error=text(raw, "error"),
    )

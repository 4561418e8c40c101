"""Tell about a stall: no task of the process has moved for `ASYNCSCOPE_STALL_S` seconds."""

import signal
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from autoinstrument import stacks
from autoinstrument.places import first_place
from autoinstrument.records import TaskRecord
from autoinstrument.world import World

_MOST_SHOWN = 50


class StallWatch:
    """Looks on the tick whether any task moves; prints all waiting tasks when none does."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        """Say a stall once; a task that moves ends it."""
        self._world = world
        self._say = say
        self._after_ns = int(world.settings.stall_s * 1e9)
        self._last: tuple[Any, ...] = ()
        self._since_ns = 0
        self._said = False

    def tick(self, now_ns: int) -> None:
        """Compare what all tasks wait for with the last look."""
        waits = tuple(
            (record.serial, id(stacks.awaited(record()))) for record in self._world.tasks.pending()
        )
        if waits != self._last or not waits:
            self._last, self._since_ns, self._said = waits, now_ns, False
        elif not self._said and now_ns - self._since_ns >= self._after_ns:
            self._said = True
            seconds = (now_ns - self._since_ns) / 1e9
            for line in describe(self._world, seconds):
                self._say(line)


def print_on_signal(world: World, name: str, say: Callable[[str], None]) -> str:
    """Print all waiting tasks whenever a signal comes; return "" or why that cannot be.

    Only for a signal that the program leaves at its default, and only when asked for.
    """
    number = getattr(signal, name.strip().upper(), None)
    if not isinstance(number, signal.Signals):
        return f"ASYNCSCOPE_DUMP_SIGNAL={name!r} is no signal of this system; it is ignored"

    def dump(number: int, frame: object) -> None:
        for line in describe(world, 0.0):
            say(line)

    try:
        if signal.getsignal(number) is not signal.SIG_DFL:
            return f"ASYNCSCOPE_DUMP_SIGNAL={name!r} is used by the program; it is ignored"
        signal.signal(number, dump)
    except (ValueError, OSError) as exc:
        return f"ASYNCSCOPE_DUMP_SIGNAL={name!r} cannot be caught ({exc}); it is ignored"
    return ""


def describe(world: World, seconds: float) -> list[str]:
    """Return lines that say where each task is parked and what it waits for."""
    pending = world.tasks.pending()
    since = f"no task has moved for {seconds:.1f} s; " if seconds else ""
    lines = [f"{since}{len(pending)} tasks wait:"]
    lines += [f"  {_line(world, record)}" for record in pending[:_MOST_SHOWN]]
    if len(pending) > _MOST_SHOWN:
        lines.append(f"  ... and {len(pending) - _MOST_SHOWN} more")
    return lines


def _line(world: World, record: TaskRecord) -> str:
    task = record()
    parked = first_place(stacks.parked(task)) if task is not None else None
    where = f" at {parked.file}:{parked.line} in {parked.function}" if parked is not None else ""
    wait = record.wait
    what = ""
    if wait is not None and not wait.ended_ns:
        holders = ", ".join(f'"{hold.owner_name}"' for hold in wait.lock.holds[:3])
        held = f", held by task {holders}" if holders else ""
        what = f" for {wait.lock.kind} #{wait.lock.serial}{held}"
    for hop in world.hops.of(record)[-1:]:
        seconds = (monotonic_ns() - hop.started_ns) / 1e9
        what = f" for a function sent to a thread {seconds:.1f} s ago ({hop.how})"
    return f'task "{record.name}" ({record.qualname}) waits{where}{what}'

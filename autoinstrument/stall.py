"""Tell about a stall: no task of the process has moved for `ASYNCSCOPE_STALL_S` seconds."""

import signal
from collections import Counter
from collections.abc import Callable
from itertools import islice
from time import monotonic_ns

from autoinstrument import stacks
from autoinstrument.places import first_place
from autoinstrument.records import TaskRecord
from autoinstrument.world import World

_MOST_SHOWN = 50
_MOST_FUNCTIONS = 10


class StallWatch:
    """Asks on the tick when a task moved last; prints all waiting tasks when that is long ago."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        """Say a stall once; a task that moves ends it."""
        self._world = world
        self._say = say
        self._after_ns = int(world.settings.stall_s * 1e9)
        self._said_ns = 0

    def tick(self, now_ns: int) -> None:
        """Compare what tasks wait for with the last look at them."""
        looks = self._world.looks
        quiet_ns = now_ns - looks.moved_ns
        if not looks.moved_ns or quiet_ns < self._after_ns or self._said_ns == looks.moved_ns:
            return
        if looks.has_moved():  # tasks are looked at in turns, and this one has not had its turn
            looks.moved_ns = now_ns
            return
        self._said_ns = looks.moved_ns
        for line in describe(self._world, quiet_ns / 1e9):
            self._say(line)


def print_on_signal(
    world: World, name: str, say: Callable[[str], None], ask: Callable[[Callable[[], None]], bool]
) -> str:
    """Print all waiting tasks whenever a signal comes; return "" or why that cannot be.

    Only for a signal that the program leaves at its default, and only when asked for. `ask` lets
    the agent's thread do it, where one runs: the loop goes on meanwhile.
    """
    number = getattr(signal, name.strip().upper(), None)
    if not isinstance(number, signal.Signals):
        return f"ASYNCSCOPE_DUMP_SIGNAL={name!r} is no signal of this system; it is ignored"

    def dump() -> None:
        for line in describe(world, 0.0):
            say(line)

    def came(number: int, frame: object) -> None:
        if not ask(dump):
            dump()

    try:
        if signal.getsignal(number) is not signal.SIG_DFL:
            return f"ASYNCSCOPE_DUMP_SIGNAL={name!r} is used by the program; it is ignored"
        signal.signal(number, came)
    except (ValueError, OSError) as exc:
        return f"ASYNCSCOPE_DUMP_SIGNAL={name!r} cannot be caught ({exc}); it is ignored"
    return ""


def describe(world: World, seconds: float) -> list[str]:
    """Return lines that say where each task is parked and what it waits for.

    `seconds` is how long none has moved, 0 where that was not asked. Of many tasks the oldest ones
    are shown, and how many more there are of each function.
    """
    pending: list[TaskRecord] = []
    functions: Counter[str] = Counter()
    for records in world.looks.slices():
        waiting = [record for record in records if not record.ended]
        functions.update(record.qualname for record in waiting)
        pending = sorted([*pending, *waiting], key=lambda record: record.serial)[:_MOST_SHOWN]
    count = functions.total()
    if seconds and not count:
        return []
    since = f"no task has moved for {seconds:.1f} s; " if seconds else ""
    lines = [f"{since}{count} tasks wait:"]
    lines += [f"  {_line(world, record)}" for record in pending]
    if count > _MOST_SHOWN:
        functions.subtract(record.qualname for record in pending)
        lines.append(f"  ... and {count - _MOST_SHOWN} more: {_counted(functions)}")
    return lines


def _counted(functions: Counter[str]) -> str:
    most = [f"{count} {name}" for name, count in functions.most_common(_MOST_FUNCTIONS) if count]
    others = sum(count for _, count in islice(functions.most_common(), _MOST_FUNCTIONS, None))
    return ", ".join([*most, f"{others} others"] if others else most)


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

"""A started asynchronous generator is dropped, or still suspended when its loop ends."""

from typing import Any, Final

from autoinstrument.detectors._tools import at, frame_line, frame_place, named_task, related, shown
from autoinstrument.findings import Finding
from autoinstrument.places import Place, is_user_file, resolve
from autoinstrument.records import GeneratorRecord
from autoinstrument.world import World

KIND: Final = "async_generator_not_closed"
_MOST_MADE: Final = 200
_LATE: Final = "Its `finally` blocks and context managers run late, in another task."
_OUTCOMES: Final = {
    "collected": "the garbage collector found it and the loop had to close it in a task of its "
    f"own. {_LATE}",
    "loop shutdown": f"the loop had to close it when it shut down. {_LATE}",
    "loop gone": "its loop ended without closing it either. Its `finally` blocks and context "
    "managers never run.",
}


def attach(world: World) -> None:
    """Look when a generator was left to the collector, to the loop, or to nobody."""
    made: dict[tuple[int, int], Finding] = {}  # by iterating code and instruction

    last: list[tuple[Any, int, Any]] = [(None, 0, None)]  # what `made` was asked for last

    def generator_dropped(record: GeneratorRecord, generator: Any, how: str) -> None:
        iterated = record.flat_stack
        code, offset, known = last[0]
        if iterated and iterated[0] is code and iterated[1] == offset:
            world.findings.again(known)
            return
        place = (id(iterated[0]), iterated[1]) if iterated else (0, 0)
        if place in made:  # the same again: it is counted, and needs no words
            last[0] = (*iterated[:2], made[place])
            world.findings.again(made[place])
            return
        frame = generator.ag_frame
        suspended = frame_line(frame) if frame is not None else None
        location = _location(record, suspended)
        if location is not None:
            finding = _finding(record, location, suspended, how)
            if iterated:
                if len(made) >= _MOST_MADE:
                    made.pop(next(iter(made)), None)
                made[place] = finding
            world.report(finding)

    def generator_dropped_again(record: GeneratorRecord, times: int) -> None:
        iterated = record.flat_stack
        finding = made.get((id(iterated[0]), iterated[1]))
        if finding is not None:
            world.findings.again(finding, times)

    world.moments.on("generator_dropped", generator_dropped)
    world.moments.on("generator_dropped_again", generator_dropped_again)


def _location(record: GeneratorRecord, suspended: Place | None) -> Place | None:
    """Return the iterating line when it is the user's, else the `yield` when that is."""
    if record.stack and is_user_file(record.stack[0][0].co_filename):
        return resolve(record.stack[0])
    if suspended is not None and is_user_file(suspended.file):
        return suspended
    return None


def _finding(
    record: GeneratorRecord, location: Place, suspended: Place | None, how: str
) -> Finding:
    iterated = frame_place(record.stack)
    message = (
        f"The asynchronous generator {record.qualname}(), iterated{at(iterated)} by "
        f"{named_task(record.owner_name)}, was left suspended{at(suspended)} and never closed; "
        f"{_OUTCOMES[how]}"
    )
    finding = Finding(
        KIND,
        message,
        "Put it into `async with contextlib.aclosing(...) as items:` and iterate `items`, or call "
        "`await generator.aclose()` in a `finally` block.",
        location,
        task=record.owner_name,
        stack=shown(record.stack),
    )
    finding.related = related("iterated", iterated, record.owner_name)
    finding.related += related("suspended at", suspended)
    return finding

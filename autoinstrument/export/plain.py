"""Spans of plain tasks and scopes straight from records to JSON, as nearly all spans go.

A plain task returned and is told nothing of, a plain scope was left in order. No object is made for
such a span, and what it shares with the one before it, such as trace, parent and place, is encoded
once. All else takes the long way, over `SpanMaker` and `otlp.span`.
"""

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, Final

from autoinstrument.export.ids import SCOPE
from autoinstrument.export.otlp import encoded_link, encoded_start, encoded_static, hex_of
from autoinstrument.export.span import Ready
from autoinstrument.export.spans import TASK_NAME, SpanMaker
from autoinstrument.export.statics import TASK_ID, Static
from autoinstrument.export.traces import MOST_SPANS, Link, Placement
from autoinstrument.records import RETURNED, ScopeRecord, TaskRecord

_NAME: Final = f'"}}}},{encoded_start(TASK_NAME)}stringValue":'
_OWNER: Final = f'"}}}},{encoded_start(TASK_ID)}intValue":"'

Placed = tuple[TaskRecord, Placement]


class PlainSpans:
    """Encodes what is plain; used by one thread at a time."""

    def __init__(self, maker: SpanMaker) -> None:
        """Share the places and constant parts of the maker of all other spans."""
        self._maker = maker

    def tasks(
        self, placed: Sequence[Placed], children: Mapping[int, Any], found: list[Ready]
    ) -> list[Placed]:
        """Add the spans of plain tasks to `found`, if their traces are kept, and return the others.

        `children` are the tasks that have links to what they created. One long loop, since to call
        a function for each part would cost as much as the part.
        """
        maker = self._maker
        offset_ns, statics, threads = maker.clock.offset_ns, maker.statics, maker.fixed
        over, trace, parent_id, static = maker.traces.ended, None, -1, None
        flat: Any = None
        code: Any = None
        thread_id, qualname = 0, ""
        opening = parent = head = plain = ""
        link: Link | None = None
        links = ""
        kept: bool | None = False
        late = False
        others: list[Placed] = []
        for pair in placed:
            task, place = pair
            name, created_ns, ended_ns = task.last_name, task.created_ns, task.ended_ns
            above = place.parent_id
            if (
                task.story is not None
                or task.outcome is not RETURNED
                or ended_ns < created_ns
                or not name
                or not name.isascii()
                or (children and task.serial in children)
                or (above and (place.link is not None or place.parent_is_remote))
                or (above and (over_ns := over.get(task.creator)) and ended_ns > over_ns)
            ):
                others.append(pair)
                continue
            if place.trace is not trace:
                trace = place.trace
                late, kept = trace.late, trace.kept
                opening = f'{{"traceId":"{trace.hex or hex_of(trace)}","spanId":"'
            if not kept:
                continue
            if late:
                others.append(pair)
                continue
            if above != parent_id:
                parent_id = above
                parent = f'"parentSpanId":"{above.to_bytes(8).hex()}",' if above else ""
            thread = threads.get(task.loop_id) or maker.thread_of(task)
            if (
                task.flat_stack is not flat
                or task.code is not code
                or thread != thread_id
                or task.qualname != qualname
            ):
                flat, code, thread_id, qualname = task.flat_stack, task.code, thread, task.qualname
                static = statics.of_task(task, thread)
                head, _, plain = static.encoded or encoded_static(static)
            if place.link is not link:
                link = place.link
                links = f',"links":[{encoded_link(link)}]' if link is not None else ""
            found.append(
                f'{opening}{place.span_id.to_bytes(8).hex()}",{parent}{head}'
                f'"startTimeUnixNano":"{created_ns + offset_ns}",'
                f'"endTimeUnixNano":"{ended_ns + offset_ns}",'
                f'{plain}"{task.serial}{_NAME}{_quote(name)}}}}}]{links}}}'
            )
        return others

    def scope(
        self,
        record: ScopeRecord,
        static: Static,
        owner: Placement,
        outer: ScopeRecord | None,
        now_ns: int,
    ) -> Ready:
        """Return the span of a scope: encoded, if it is plain."""
        maker, trace = self._maker, owner.trace
        if (
            not record.left_ns
            or record.irregularly_by is not None
            or record.expired_ns
            or record.shield
            or record.cancel_origin is not None
            or record.owner is None
            or trace.late
            or trace.spans >= MOST_SPANS
        ):
            return maker.scope(record, static, owner, outer, now_ns)
        trace.spans += 1
        number, offset_ns = maker.traces.ids.of, maker.clock.offset_ns
        above = owner.span_id if outer is None else number(SCOPE, outer.serial)
        head, _, plain = static.encoded or encoded_static(static)
        parent = f'"parentSpanId":"{above.to_bytes(8).hex()}",' if above else ""
        entered_ns = record.entered_ns
        return (
            f'{{"traceId":"{trace.hex or hex_of(trace)}",'
            f'"spanId":"{number(SCOPE, record.serial).to_bytes(8).hex()}",{parent}{head}'
            f'"startTimeUnixNano":"{entered_ns + offset_ns}",'
            f'"endTimeUnixNano":"{max(entered_ns, record.left_ns) + offset_ns}",'
            f'{plain}"{record.serial}{_OWNER}{record.owner.serial}"}}}}]}}'
        )

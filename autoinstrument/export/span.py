"""A span, ready to be encoded, as all sinks take it."""

from autoinstrument.export.statics import Attribute, Static
from autoinstrument.export.traces import Link, Placement, Trace


class Event:
    """Something that happened during a span."""

    __slots__ = ("at_ns", "attributes", "name")

    def __init__(self, name: str, at_ns: int, attributes: tuple[Attribute, ...]) -> None:
        """`at_ns` counts from the epoch."""
        self.name = name
        self.at_ns = at_ns
        self.attributes = attributes


class Span:
    """One span, ready to be encoded; times count from the epoch."""

    __slots__ = (
        "attributes",
        "end_ns",
        "error",
        "events",
        "links",
        "place",
        "start_ns",
        "static",
    )

    def __init__(
        self,
        place: Placement,
        static: Static,
        start_ns: int,
        end_ns: int,
        attributes: tuple[Attribute, ...],
    ) -> None:
        """Begin without links, events and error; `error` is the status description."""
        self.place = place
        self.static = static
        self.start_ns = start_ns
        self.end_ns = max(start_ns, end_ns)
        self.attributes = attributes
        self.links: list[Link] | None = None
        self.events: list[Event] | None = None
        self.error = ""

    @property
    def trace(self) -> Trace:
        """The trace it is in."""
        return self.place.trace

    @property
    def span_id(self) -> int:
        """Its number."""
        return self.place.span_id

    @property
    def parent_id(self) -> int:
        """The number of the span above it, 0 for the first of a trace."""
        return self.place.parent_id

    @property
    def parent_is_remote(self) -> bool:
        """Whether that span is another process's."""
        return self.place.parent_is_remote


Ready = Span | str
"""A span, or one that is encoded as JSON already, where all sinks take JSON."""

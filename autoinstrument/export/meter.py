"""Counts and histograms for our own metrics, without the SDK: that takes 0.1 s to load.

`Meter` has what `metrics.py` uses of the SDK's meter, and is its reader as well: cumulative values,
in objects with the names of the SDK's data, so that one encoder serves both.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

_CUMULATIVE: Final = 2
_MOST_POINTS: Final = 2_000  # of one instrument, as in the SDK
_OVERFLOW: Final = {"otel.metric.overflow": True}

Attributes = dict[str, Any]
Read = Callable[[Any], Iterable["Observation"]]


class Observation:
    """One value that an observable instrument was asked for."""

    __slots__ = ("attributes", "value")

    def __init__(self, value: float, attributes: Attributes) -> None:
        """Keep both."""
        self.value = value
        self.attributes = attributes


class _Point:
    """A value, or the state of a histogram, for one set of attributes."""

    def __init__(self, attributes: Attributes, start_ns: int, bounds: Sequence[float] = ()) -> None:
        self.attributes = attributes
        self.start_time_unix_nano = start_ns
        self.time_unix_nano = 0
        self.value: float = 0
        self.count = 0
        self.sum = 0.0
        self.min = float("inf")
        self.max = float("-inf")
        self.explicit_bounds = bounds
        self.bucket_counts = [0] * (len(bounds) + 1)


class _Data:
    """The points of one metric; the encoder asks for the name of the class."""

    aggregation_temporality: Final = _CUMULATIVE

    def __init__(self, points: list[_Point], *, is_monotonic: bool = False) -> None:
        self.data_points = points
        self.is_monotonic = is_monotonic


class Histogram(_Data):
    """Points with buckets."""


class Sum(_Data):
    """Points with totals."""


class Gauge(_Data):
    """Points with the value of the moment."""


class _Metric:
    def __init__(self, name: str, description: str, unit: str, data: _Data) -> None:
        self.name = name
        self.description = description
        self.unit = unit
        self.data = data


class Instrument:
    """Something to record with, or to ask, and its points by attributes."""

    def __init__(
        self,
        kind: type[_Data],
        facts: tuple[str, str, str],
        bounds: Sequence[float] = (),
        read: Read | None = None,
        *,
        is_monotonic: bool = False,
    ) -> None:
        self._kind = kind
        self._facts = facts
        self._bounds = tuple(bounds)
        self._read = read
        self._is_monotonic = is_monotonic
        self._points: dict[tuple[Any, ...], _Point] = {}
        self._start_ns = time.time_ns()

    def _point(self, attributes: Attributes | None) -> _Point:
        attributes = attributes or {}
        key = tuple(attributes.items())
        point = self._points.get(key)
        if point is None:
            if len(self._points) >= _MOST_POINTS - 1:
                attributes = _OVERFLOW
                key = tuple(attributes.items())
            start_ns = 0 if self._kind is Gauge else self._start_ns
            point = self._points.setdefault(key, _Point(attributes, start_ns, self._bounds))
        return point

    def record(self, value: float, attributes: Attributes | None = None) -> None:
        """Add a value to a histogram."""
        self.record_all((value,), attributes)

    def record_all(self, values: Sequence[float], attributes: Attributes | None = None) -> None:
        """Add values of one kind, at least one; the SDK has no such method."""
        point = self._point(attributes)
        bounds, counts, total = self._bounds, point.bucket_counts, point.sum
        for value in values:  # one after the other, as the SDK does: `sum()` rounds in another way
            total += value
            counts[bisect_left(bounds, value)] += 1
        point.count += len(values)
        point.sum = total
        point.min = min(point.min, *values)
        point.max = max(point.max, *values)

    def add(self, amount: float, attributes: Attributes | None = None) -> None:
        """Add to a counter."""
        self._point(attributes).value += amount

    def collect(self, now_ns: int) -> _Metric | None:
        """Return the metric at the time `now_ns`, or None if nothing was recorded."""
        if self._read is not None:
            self._points.clear()
            for seen in self._read(None):
                self._point(seen.attributes).value = seen.value
        if not self._points:
            return None
        for point in self._points.values():
            point.time_unix_nano = now_ns
        points = list(self._points.values())
        return _Metric(*self._facts, self._kind(points, is_monotonic=self._is_monotonic))


class Meter:
    """Makes instruments and collects them; used by one thread at a time."""

    def __init__(self) -> None:
        """Start without instruments."""
        self._instruments: list[Instrument] = []

    def _add(self, instrument: Instrument) -> Instrument:
        self._instruments.append(instrument)
        return instrument

    def create_histogram(
        self,
        name: str,
        unit: str,
        description: str,
        *,
        explicit_bucket_boundaries_advisory: Sequence[float],
    ) -> Instrument:
        """Return a histogram with these upper bounds."""
        facts = (name, description, unit)
        return self._add(Instrument(Histogram, facts, explicit_bucket_boundaries_advisory))

    def create_counter(self, name: str, unit: str, description: str) -> Instrument:
        """Return a counter that only grows."""
        return self._add(Instrument(Sum, (name, description, unit), is_monotonic=True))

    def create_observable_gauge(
        self, name: str, reads: Sequence[Read], unit: str, description: str
    ) -> None:
        """Ask `reads` for the values of the moment with each collection."""
        self._add(Instrument(Gauge, (name, description, unit), read=reads[0]))

    def create_observable_counter(
        self, name: str, reads: Sequence[Read], unit: str, description: str
    ) -> None:
        """Ask `reads` for totals that only grow."""
        facts = (name, description, unit)
        self._add(Instrument(Sum, facts, read=reads[0], is_monotonic=True))

    def create_observable_up_down_counter(
        self, name: str, reads: Sequence[Read], unit: str, description: str
    ) -> None:
        """Ask `reads` for totals."""
        self._add(Instrument(Sum, (name, description, unit), read=reads[0]))

    def get_metrics_data(self) -> list[Any]:
        """Return the metrics that have values."""
        now_ns = time.time_ns()
        found = [instrument.collect(now_ns) for instrument in self._instruments]
        return [metric for metric in found if metric is not None]

"""Which traces are exported: the head sampler of `OTEL_TRACES_SAMPLER`, and the budget.

Both decide about whole traces, so that a tree is either there or not.
"""

from collections.abc import Callable, Mapping
from typing import Final

_LIMIT: Final = 1 << 64
_DEFAULT: Final = "parentbased_always_on"
_SAMPLERS: Final = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)


class HeadSampler:
    """The sampler that the environment names, with the official one's arithmetic.

    The ratio looks at the low 64 bits of the trace number as the SDK does, so that every
    process of a distributed trace decides alike.
    """

    def __init__(self, bound: int, *, follows_parent: bool) -> None:
        """Keep traces whose low 64 bits are below `bound`; or do as a parent outside did."""
        self._bound = bound
        self._follows_parent = follows_parent

    def keeps(self, trace_id: int, parent_flags: int | None) -> bool:
        """Decide for a trace; `parent_flags` are those of a span that is not ours, if any."""
        if parent_flags is not None and self._follows_parent:
            return bool(parent_flags & 1)
        return (trace_id & (_LIMIT - 1)) < self._bound


def head_sampler(environ: Mapping[str, str], say: Callable[[str], None]) -> HeadSampler:
    """Read `OTEL_TRACES_SAMPLER` and its argument; a wrong value costs one line."""
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or _DEFAULT
    if name not in _SAMPLERS:
        say(
            f"OTEL_TRACES_SAMPLER={name} is not known here; accepted are {', '.join(_SAMPLERS)}; "
            f"using {_DEFAULT}"
        )
        name = _DEFAULT
    bound = 0 if name.endswith("always_off") else _LIMIT
    if name.endswith("traceidratio"):
        bound = round(_ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", ""), say) * _LIMIT)
    return HeadSampler(bound, follows_parent=name.startswith("parentbased"))


def _ratio(text: str, say: Callable[[str], None]) -> float:
    try:
        ratio = float(text) if text.strip() else 1.0
        if not 0.0 <= ratio <= 1.0:
            raise ValueError
    except ValueError:
        say(
            f"OTEL_TRACES_SAMPLER_ARG={text} is no ratio; accepted is a number from 0 to 1; "
            "using 1.0"
        )
        return 1.0
    return ratio


class Budget:
    """Spans a second, as a bucket that may run into debt.

    A trace that was begun is finished: it takes what it needs, and the traces after it wait
    until the debt is paid. A burst of two seconds is allowed.
    """

    def __init__(self, per_second: int, now_ns: int) -> None:
        """Start with a full bucket."""
        self._per_second = per_second
        self._most = 2.0 * per_second
        self.left = self._most
        self._at_ns = now_ns

    def refill(self, now_ns: int) -> None:
        """Add what the time since the last call allows."""
        passed = max(0, now_ns - self._at_ns)
        self._at_ns = now_ns
        self.left = min(self._most, self.left + passed * self._per_second / 1e9)

    @property
    def open(self) -> bool:
        """Whether another trace may begin."""
        return self.left > 0

    def spend(self, spans: int) -> None:
        """Take from the bucket, whatever is in it."""
        self.left -= spans

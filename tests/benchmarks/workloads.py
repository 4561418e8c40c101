"""What is measured: functions of the modules in `programs`, and how much of each.

The counts make a region last a few tenths of a second on a core of 2024; more would only
meet more of the other work of the machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Case:
    """One measured function. An operation is one of its `count`.

    `records` says how much of what the agent has to have counted per operation, by the names in
    the file of `ASYNCSCOPE_STATS_FILE`; a variant that counted less is refused.
    """

    function: str
    count: int
    records: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workload:
    """Cases that are measured in one process, one after the other.

    `kind` says by what: `functions` of a module, `startup`, `service`, or a `script` that
    measures itself.
    """

    name: str
    module: str
    cases: tuple[Case, ...]
    options: tuple[str, ...] = ()
    usual: bool = True
    kind: str = "functions"


_TASK = {"tasks_created": 1.0, "tasks_ended": 1.0}
_GROUP = {"tasks_created": 10.0, "tasks_ended": 10.0, "scopes_entered": 1.0}
_HOLD = {"locks_acquired": 1.0, "locks_released": 1.0}

WORKLOADS = (
    Workload(
        "tasks", "tasks",
        (Case("storm", 20_000, _TASK), Case("storm_of_steps", 12_000, _TASK)),
    ),
    Workload(
        "groups", "groups",
        (Case("task_group", 1_200, _GROUP), Case("anyio_group", 600, _GROUP)),
    ),
    Workload(
        "scopes", "scopes",
        (
            Case("anyio_scope", 6_000, {"scopes_entered": 3.0, "scopes_left": 3.0}),
            Case("timeout", 10_000, {"scopes_entered": 2.0, "scopes_left": 2.0}),
            Case("expired", 1_500, {"scopes_expired": 1.0}),
        ),
    ),
    Workload(
        "locks", "locks",
        (
            Case("lock_free", 40_000, _HOLD),
            Case("lock_contended", 5_000, _HOLD | {"locks_waits": 0.9}),
            Case("semaphore", 40_000, _HOLD),
            Case("queue", 4_000),
            Case("anyio_lock", 6_000, _HOLD),
        ),
    ),
    Workload(
        "generators", "generators",
        (
            Case("iterated", 20_000, {"generators_started": 1.0, "generators_ended": 1.0}),
            Case("left_early", 20_000, {"generators_started": 1.0, "generators_ended": 1.0}),
            Case("abandoned", 3_000, {"generators_started": 1.0}),
        ),
    ),
    Workload("awaits", "awaits", (Case("deep_await", 15_000), Case("sleep0", 30_000))),
    Workload("echo", "echo", (Case("echo", 2_500),)),
    Workload("echo-uvloop", "echo", (Case("echo", 5_000),), ("--uvloop",)),
    Workload(
        "service", "service",
        (
            Case("http_hello", 8_000),
            Case(
                "http_work", 5_000,
                {"tasks_created": 3.0, "locks_acquired": 1.0, "generators_started": 1.0},
            ),
        ),
        kind="service",
    ),
    Workload("startup", "", (), kind="startup"),
    Workload(
        "memory", "memory", (Case("alive", 100_000, _TASK), Case("over_time", 1_000_000, _TASK)),
        usual=False, kind="script",
    ),
    Workload(
        "snapshot", "snapshot", (Case("waiting", 100_000, _TASK),), usual=False, kind="script"
    ),
    Workload(
        "idle", "idle",
        tuple(Case(f"beside_{live}", 500) for live in (0, 1_000, 100_000)),
        usual=False, kind="script",
    ),
    Workload(
        "scaling", "scaling",
        (
            *(Case(f"beside_{live}_tasks", 10_000, _TASK) for live in (0, 1_000, 100_000)),
            *(Case(f"lock_at_depth_{depth}", 20_000, _HOLD) for depth in (1, 10, 200)),
            *(Case(f"inside_{name}", 6_000, {"scopes_entered": 1.0})
              for name in ("1_scope", "100_scopes")),
        ),
        usual=False,
    ),
    Workload(
        "rates", "scaling",
        (
            Case("idle", 1_000), Case("rate_100", 100, _TASK), Case("rate_1000", 1_000, _TASK),
            Case("rate_10000", 10_000, _TASK),
        ),
        usual=False,
    ),
)  # fmt: skip

SELF_MEASURED = tuple(item.name for item in WORKLOADS if item.kind == "script")
"""Workloads whose figures are not times of regions."""

GOALS: Mapping[str, str] = {
    "storm": "1.50 / 2.0",
    "storm_of_steps": "1.50 / 2.0",
    "task_group": "1.45 / 1.8",
    "anyio_group": "1.45 / 1.8",
    "anyio_scope": "1.20",
    "timeout": "1.40",
    "expired": "1.15",
    "lock_free": "1.35",
    "semaphore": "1.35",
    "queue": "1.35",
    "anyio_lock": "1.35",
    "lock_contended": "1.20",
    "iterated": "1.40",
    "left_early": "1.40",
    "abandoned": "1.40",
    "deep_await": "1.01",
    "sleep0": "1.01",
    "echo": "1.01",
    "http_hello": "1.03 / 1.05",
    "http_work": "1.20 / 1.35",
    "no_asyncio": "1.15",
    "asyncio_run": "1.25",
}
"""What we want to reach, as ratio to the bare program: recording, and exporting OTLP."""

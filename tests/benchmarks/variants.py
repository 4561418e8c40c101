"""What is compared: the bare program, the agent with its exporters, and other tools."""

from collections.abc import Mapping
from dataclasses import dataclass, field

BARE = "bare"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run a program.

    `environment` may contain `{folder}` (an empty folder of this run) and `{endpoint}` (of the
    local OTLP receiver). `records` is what has to show that the tool was at work: `agent`, the
    agent's counters; `spans`, the receiver's count; `file`, lines in `{folder}/spans.jsonl`;
    `peer`, what the tool's own counters say; `console`, bytes on stdout; empty, nothing.
    """

    name: str
    meaning: str
    environment: Mapping[str, str] = field(default_factory=dict)
    records: tuple[str, ...] = ()
    agent: bool = False
    peer: str = ""
    packages: tuple[str, ...] = ()


_AGENT = {
    "ASYNCSCOPE_ENABLE": "1",
    "ASYNCSCOPE_QUIET": "1",
    "ASYNCSCOPE_STATS_FILE": "{folder}/counters.json",
    "ASYNCSCOPE_EXPORTER": "none",
}
_OTLP = _AGENT | {
    "ASYNCSCOPE_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
}
_ALL = {"ASYNCSCOPE_SPAN_BUDGET": "1000000"}
_FILE = _AGENT | {
    "ASYNCSCOPE_EXPORTER": "file",
    "ASYNCSCOPE_FILE": "{folder}/spans.jsonl",
}
_CONSOLE = _AGENT | {"ASYNCSCOPE_EXPORTER": "console"}

_COROUTINES = "at_once,one_step,child,worker,answer,serve"

VARIANTS = (
    Variant(BARE, "without the agent"),
    Variant("bare again", "the same once more: the noise"),
    Variant("off", "the agent is installed and not switched on", agent=True),
    Variant("agent", "recording and detectors, no exporter", _AGENT, ("agent",), agent=True),
    Variant(
        "otlp", "and OTLP/HTTP to a local receiver, 1000 spans a second at most", _OTLP,
        ("agent", "spans"), agent=True,
    ),
    Variant(
        "otlp all", "the same without a bound for spans", _OTLP | _ALL, ("agent", "spans"),
        agent=True,
    ),
    Variant("file", "and OTLP JSON lines to a file", _FILE, ("agent", "file"), agent=True),
    Variant("console", "and spans as JSON on stdout", _CONSOLE, ("agent", "console"), agent=True),
    Variant("asyncio debug", "asyncio's debug mode", {"PYTHONASYNCIODEBUG": "1"}),
    Variant(
        "opentelemetry", "opentelemetry-instrumentation-asyncio, every task, SDK and OTLP/HTTP",
        {
            "OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE": _COROUTINES,
            "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
        },
        ("spans",), peer="opentelemetry_asyncio",
        packages=(
            "opentelemetry-instrumentation-asyncio", "opentelemetry-exporter-otlp-proto-http",
        ),
    ),
    Variant(
        "aiomonitor", "with its task factory", {}, ("peer",), peer="aiomonitor_hooks",
        packages=("aiomonitor",),
    ),
    Variant(
        "viztracer", "every call", {}, ("peer",), peer="viztracer_calls", packages=("viztracer",)
    ),
    Variant(
        "aiocop", "blocking calls and slow steps", {}, ("peer",), peer="aiocop_watch",
        packages=("aiocop",),
    ),
    Variant(
        "sentry", "a span for each task", {}, ("peer",), peer="sentry_spans",
        packages=("sentry-sdk",),
    ),
    Variant(
        "ddtrace", "context of each task",
        {
            "DD_TRACE_AGENT_URL": "{endpoint}",
            "DD_PROFILING_ENABLED": "false",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_TRACE_STARTUP_LOGS": "false",
            "DD_CRASHTRACKING_ENABLED": "false",
        },
        peer="ddtrace_auto", packages=("ddtrace",),
    ),
)  # fmt: skip

PEERS = tuple(variant.name for variant in VARIANTS if variant.peer)
USUAL = (BARE, "bare again", "agent", "otlp", "file")

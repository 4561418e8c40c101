"""Other agents in the same process, whichever of us comes first.

Run by `pytest -m heavy` in an environment with the dependency group `beside`; what is not
installed is skipped.
"""

import json
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers import SCRIPTS, Child, child_environment, run_child
from tests.robustness.watched import both, others, said, write

pytestmark = pytest.mark.heavy

# Uses tasks, scopes, locks, generators, a failure, a cancellation; and releases a lock of another.
WORK = """
async def numbers():
    for n in range(3):
        yield n

async def fails():
    await asyncio.sleep(0)
    raise ValueError("bad")

async def holds(lock, taken):
    await lock.acquire()
    taken.set()
    await asyncio.sleep(0.01)
    return "held"

async def main():
    seen = []
    lock, taken = asyncio.Lock(), asyncio.Event()
    task = asyncio.create_task(holds(lock, taken), name="holder")
    await taken.wait()
    lock.release()
    seen.append(await task)
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)
    except TimeoutError:
        seen.append("timeout")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            group.create_task(asyncio.sleep(5))
    except* ValueError as errors:
        seen.append(len(errors.exceptions))
    async for n in numbers():
        seen.append(n)
    cancelled = asyncio.create_task(asyncio.sleep(5))
    await asyncio.sleep(0)
    cancelled.cancel("why")
    await asyncio.wait([cancelled])
    seen.append(cancelled.cancelled())
    seen += await asyncio.gather(fails(), asyncio.sleep(0, 1), return_exceptions=True)
    return seen

print(asyncio.run(main()))
"""


@dataclass(frozen=True)
class Neighbour:
    """How to bring another agent into the process."""

    module: str
    command: tuple[str, ...] = ("{python}", "{program}")
    first: str = ""  # lines before `import asyncio`
    after: str = ""  # lines after it
    env: dict[str, str] = field(default_factory=dict)


OTEL = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
DDTRACE = {
    "DD_TRACE_ENABLED": "true",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE": "0",  # the default where gevent is not installed
}
SENTRY = """
import sentry_sdk
from sentry_sdk.integrations.asyncio import AsyncioIntegration
sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, shutdown_timeout=0,
                integrations=[AsyncioIntegration()])
"""
GEVENT_PATCHES = "from gevent import monkey\nmonkey.patch_all()\n"
NEIGHBOURS = {
    "opentelemetry-instrument": Neighbour(
        "opentelemetry.instrumentation",
        ("{bin}/opentelemetry-instrument", "{python}", "{program}"),
        env=OTEL,
    ),
    "ddtrace-run": Neighbour(
        "ddtrace", ("{bin}/ddtrace-run", "{python}", "{program}"), env=DDTRACE
    ),
    "ddtrace before": Neighbour("ddtrace", first="import ddtrace.auto\n", env=DDTRACE),
    "ddtrace after": Neighbour("ddtrace", after="import ddtrace.auto\n", env=DDTRACE),
    "ddtrace profiler": Neighbour(
        "ddtrace",
        ("{bin}/ddtrace-run", "{python}", "{program}"),
        env=DDTRACE | {"DD_PROFILING_ENABLED": "true"},
    ),
    "sentry before": Neighbour("sentry_sdk", first=SENTRY),
    "sentry after": Neighbour("sentry_sdk", after=SENTRY),
    "coverage": Neighbour("coverage", ("{python}", "-m", "coverage", "run", "{program}")),
    "coverage by monitoring": Neighbour(
        "coverage",
        ("{python}", "-m", "coverage", "run", "{program}"),
        env={"COVERAGE_CORE": "sysmon"},
    ),
    "viztracer": Neighbour(
        "viztracer", ("{python}", "-m", "viztracer", "--quiet", "-o", "trace.json", "{program}")
    ),
    "nest_asyncio before": Neighbour(
        "nest_asyncio", first="import nest_asyncio\nnest_asyncio.apply()\n"
    ),
    "nest_asyncio after": Neighbour(
        "nest_asyncio", after="import nest_asyncio\nnest_asyncio.apply()\n"
    ),
    "gevent installed": Neighbour("gevent"),
    "gevent before": Neighbour("gevent", first="import gevent\n"),
    "gevent after": Neighbour("gevent", after="import gevent\n"),
    "gevent patches before": Neighbour("gevent", first=GEVENT_PATCHES),
    "gevent patches after": Neighbour("gevent", after=GEVENT_PATCHES),
    "debugpy": Neighbour(
        "debugpy",
        ("{python}", "-Xfrozen_modules=off", "-m", "debugpy", "--listen", "0", "{program}"),
    ),
}


def run(
    folder: Path, neighbour: Neighbour, env: dict[str, str], prefix: tuple[str, ...] = ()
) -> Child:
    program = write(folder, f"{neighbour.first}import asyncio\n{neighbour.after}{WORK}")
    names = {"python": sys.executable, "program": str(program), "bin": str(SCRIPTS)}
    command = [word.format(**names) for word in (*prefix, *neighbour.command)]
    return run_child(*command, env=neighbour.env | env, cwd=folder, python="", timeout_s=90)


COMMANDS = ("opentelemetry-instrument", "ddtrace-run", "coverage", "debugpy")
WAYS = [(name, "variable") for name in NEIGHBOURS] + [(name, "command") for name in COMMANDS]


@pytest.mark.parametrize(("name", "how"), WAYS)
def test_beside_another_agent(tmp_path: Path, name: str, how: str) -> None:
    neighbour = NEIGHBOURS[name]
    if find_spec(neighbour.module.split(".", maxsplit=1)[0]) is None:
        pytest.skip(f"{neighbour.module} is not installed")
    alone = run(tmp_path, neighbour, {})
    assert alone.status == 0, alone.err
    report = tmp_path / "report.json"
    env = {"ASYNCSCOPE_REPORT": str(report)}
    if how == "variable":
        child = run(tmp_path, neighbour, env | {"ASYNCSCOPE_ENABLE": "1"})
    else:
        child = run(tmp_path, neighbour, env, (str(SCRIPTS / "asyncscope-instrument"),))
    assert (child.status, child.out) == (alone.status, alone.out)
    assert "Traceback" not in child.err or "Traceback" in alone.err
    trouble = [line for line in said(child.err) if "failed" in line or "not verified" in line]
    assert trouble == []
    reports = [json.loads(path.read_text()) for path in tmp_path.glob("report.json*")]
    kinds = {finding["kind"] for found in reports for finding in found["findings"]}
    assert "lock_released_by_other_task" in kinds
    assert max(found["statistics"]["tasks"]["created"] for found in reports) >= 7


GEVENT_PROGRAM = (
    GEVENT_PATCHES
    + """
import asyncio, os, sys, threading, time
import gevent
from gevent.server import StreamServer

async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", server.server_port)
    writer.write(b"hello\\n")
    print(await reader.readline(), await asyncio.to_thread(os.path.basename, "a/b"))
    writer.close()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(3)", stdout=-1)
    print(await child.communicate())
    begin = time.monotonic()
    while time.monotonic() - begin < 1:  # blocks
        pass

def elsewhere():
    print(asyncio.run(asyncio.sleep(0.1, "in a thread")))

server = StreamServer(("127.0.0.1", 0), lambda client, address: client.sendall(client.recv(99)))
server.start()
asyncio.run(main())
server.stop()
thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
print(threading.active_count(), gevent.spawn(lambda: 5).get())
print(gevent.get_hub().join(20))  # True once nothing is left to do
"""
)


@pytest.mark.parametrize("exporter", ["none", "file"])
def test_gevent_with_its_patches_sees_no_greenlet_of_ours(tmp_path: Path, exporter: str) -> None:
    if find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
    env = {"ASYNCSCOPE_EXPORTER": exporter, "ASYNCSCOPE_FILE": str(tmp_path / "spans")}
    alone, child = both(tmp_path, GEVENT_PROGRAM, env)
    assert (child.status, child.out) == (alone.status, alone.out)
    assert alone.out.splitlines()[-1] == "True"
    assert others(alone.err) == []
    assert [line for line in said(child.err) if "failed" in line] == []
    found = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert [(f["kind"], f["location"]["function"]) for f in found] == [
        ("event_loop_blocked", "main")
    ]


def test_second_copy_of_asyncio_is_said(tmp_path: Path) -> None:
    """ddtrace throws modules out of `sys.modules` again where gevent is installed."""
    text = """
import asyncio, sys
asyncio.run(asyncio.sleep(0))
for name in [name for name in sys.modules if name.split(".")[0] == "asyncio"]:
    del sys.modules[name]
import asyncio
asyncio.run(asyncio.sleep(0))
print("done")
"""
    child = run_child(write(tmp_path, text), env={"ASYNCSCOPE_ENABLE": "1"}, cwd=tmp_path)
    assert (child.status, child.out) == (0, "done\n")
    assert [line for line in said(child.err) if line.endswith("(asyncio-imported-again)")]


def covered_lines(folder: Path, program: Path, env: dict[str, str]) -> set[int]:
    """Return the lines of a program that coverage has seen."""
    from coverage import CoverageData

    data = folder / ".coverage"
    data.unlink(missing_ok=True)
    child = run_child("-m", "coverage", "run", program, env=env, cwd=folder)
    assert child.status == 0, child.err
    found = CoverageData(str(data))
    found.read()
    return set(found.lines(str(program)) or ())


@pytest.mark.parametrize("core", ["ctrace", "sysmon"])
def test_coverage_sees_the_same_lines(tmp_path: Path, core: str) -> None:
    program = write(tmp_path, f"import asyncio\n{WORK}")
    env = {"COVERAGE_CORE": core}
    plain = covered_lines(tmp_path, program, env)
    assert len(plain) > 30
    assert covered_lines(tmp_path, program, env | {"ASYNCSCOPE_ENABLE": "1"}) == plain


def test_environment_of_these_tests_is_clean() -> None:
    assert not [name for name in child_environment() if name.startswith(("ASYNCSCOPE_", "OTEL_"))]

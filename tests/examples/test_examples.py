"""The examples, run alone as a reader would: what they print, and what asyncscope says."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT, Child, run_child

EXAMPLES = ROOT / "examples"
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Example:
    """A program and the findings that it must have: kind to the text of the line to open."""

    name: str
    prints: str
    findings: dict[str, str]
    needs: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()
    """Kinds that are found as well with some versions of the libraries."""


ALL = [
    Example(
        "crossed_scope",
        "storing was cancelled, and nobody knows by whom\n",
        {
            "cross_task_scope_exit": "await self._stack.aclose()",
            "cancellation_swallowed": "await asyncio.sleep(0.5)",
        },
    ),
    Example(
        "stuck_lock",
        "no answer from the bank\nAnn 100, Bob 100\n",
        {"lock_deadlock": "async with taker.lock:"},
    ),
    Example(
        "leaked_task",
        "work done, alive\n",
        {"task_leaked": 'self._heart = asyncio.create_task(self._beat(), name="heartbeat")'},
    ),
    Example(
        "crossed_scope_mcp",
        "tools: ['add']\n"
        "not closed: Attempted to exit cancel scope in a different task than it was entered in\n"
        "ended with RuntimeError\n",
        {"cross_task_scope_exit": "await self._stack.aclose()"},
        needs=("mcp",),
    ),
    Example(
        "agent_query_left_by_break",
        "Let me look.\n",
        {
            "async_generator_not_closed": (
                "async for message in query(prompt=question, options=options):"
            )
        },
        needs=("claude_agent_sdk",),
        others=frozenset({"cross_task_scope_exit"}),
    ),
    Example(
        "healthy_service",
        "41 visits, 1 kind of answer\n",
        {},
        needs=("fastapi", "httpx", "uvicorn"),
    ),
]


def watched(name: str, report: Path, **changes: str) -> Child:
    settings = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_REPORT": str(report)}
    return run_child(EXAMPLES / f"{name}.py", env=settings | changes)


def line_of(place: dict[str, Any]) -> str:
    lines = Path(place["file"]).read_text(encoding="utf-8").splitlines()
    return lines[int(place["line"]) - 1].strip()


@pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)
def test_example_shows_its_fault_at_its_line_and_ends_as_without_us(
    example: Example, tmp_path: Path
) -> None:
    for library in example.needs:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    plain = run_child(EXAMPLES / f"{example.name}.py")
    report = tmp_path / "report.json"
    child = watched(example.name, report)

    assert (child.status, child.out) == (plain.status, plain.out)
    assert child.status == 0, child.err
    assert child.out.startswith(example.prints)
    findings = json.loads(report.read_text(encoding="utf-8"))["findings"]
    found = {finding["kind"]: finding["location"] for finding in findings}
    assert found.keys() - example.others == example.findings.keys(), child.err
    for kind, text in example.findings.items():
        assert Path(found[kind]["file"]) == EXAMPLES / f"{example.name}.py"
        assert line_of(found[kind]) == text
        assert kind in child.err
    if not findings:
        assert "asyncscope: no findings; " in child.err


def test_example_fails_a_build_when_asked_to(tmp_path: Path) -> None:
    asked = watched("leaked_task", tmp_path / "a.json", ASYNCSCOPE_FAIL_ON="task_leaked")
    other = watched("leaked_task", tmp_path / "b.json", ASYNCSCOPE_FAIL_ON="lock_deadlock")
    assert (asked.status, asked.out) == (3, "work done, alive\n")
    assert (other.status, other.out) == (0, "work done, alive\n")


def test_every_example_is_run_here_or_belongs_to_the_debugger() -> None:
    programs = {path.stem for path in EXAMPLES.glob("*.py")}
    known = {example.name for example in ALL}
    assert {name for name in programs - known if not name.startswith("debug_")} == set()
    assert known <= programs

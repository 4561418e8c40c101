"""The benchmarks themselves: they run, they tell, and they refuse figures of an idle tool.

No time is asserted here: a busy machine must not fail a build.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import environments, measuring
from tests.benchmarks.__main__ import main
from tests.benchmarks.complete import BEGIN, END, put_in
from tests.benchmarks.receiver import Receiver, spans_in_json, spans_in_protobuf
from tests.benchmarks.running import RunError, check_recorded
from tests.benchmarks.tables import spread
from tests.benchmarks.variants import VARIANTS, Variant

AGENT = next(variant for variant in VARIANTS if variant.name == "agent")


def test_figure_is_the_median_with_its_spread() -> None:
    assert spread([1.3, 1.1, 1.2]) == "1.20 [1.10..1.30]"


def test_tables_are_put_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_in(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="has no <!-- figures"):
        put_in(page, "new")


def test_variant_that_counted_less_than_the_program_did_is_refused() -> None:
    enough = {"agent_events": 9, "tasks_created": 100}
    check_recorded(AGENT, enough, {"tasks_created": 100.0})
    with pytest.raises(RunError, match="tasks_created 99 of 100"):
        check_recorded(AGENT, enough | {"tasks_created": 99}, {"tasks_created": 100.0})
    with pytest.raises(RunError, match="agent recorded nothing"):
        check_recorded(AGENT, {"agent_events": 0}, {})


def test_receiver_counts_spans_of_both_encodings() -> None:
    span = {"name": "task"}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span, span]}, {"spans": [span]}]}]}
    assert spans_in_json(json.dumps(body).encode()) == 3
    scope = b"\x0a\x00" + b"\x12\x02\x2a\x00" * 2  # a scope, and two spans with an empty name
    resource = b"\x0a\x00" + b"\x12" + bytes([len(scope)]) + scope
    assert spans_in_protobuf(b"\x0a" + bytes([len(resource)]) + resource) == 2


@pytest.mark.slow
def test_agent_of_a_run_is_not_changed_by_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "CACHE", tmp_path / "cache")
    checkout = tmp_path / "checkout"
    (checkout / "autoinstrument").mkdir(parents=True)
    (checkout / "asyncscope_hook.pth").write_text("")

    def made(content: str) -> tuple[Path, str]:
        (checkout / "autoinstrument" / "__init__.py").write_text(content)
        python = environments.Environments(Path(sys.executable)).with_agent(checkout)
        return python, answer(python)

    def answer(python: Path) -> str:
        code = "import autoinstrument; print(autoinstrument.X)"
        return subprocess.check_output([python, "-c", code], text=True, cwd=tmp_path).strip()

    first, said = made("X = 1")
    assert said == "1"
    assert made("X = 2")[1] == "2"
    assert answer(first) == "1"
    assert made("X = 1") == (first, "1")


@pytest.mark.slow
def test_receiver_is_there_and_forgets_what_was_taken() -> None:
    with Receiver() as receiver:
        assert receiver.take() == {"requests": 0, "bytes": 0, "spans": 0, "errors": 0}


@pytest.fixture
def two_variants(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return arguments for one tiny round of two workloads, with an agent that stays off."""
    idle = Variant("agent", "never switched on", {}, ("agent",), agent=True)
    measured = measuring.measure

    def with_idle(plan: measuring.Plan, *rest: object) -> measuring.Report:
        plan.variants.append(Variant("idle", idle.meaning, {}, idle.records, agent=True))
        return measured(plan, *rest)  # type: ignore[arg-type]  # handed on

    monkeypatch.setattr("tests.benchmarks.__main__.measure", with_idle)
    return [
        "--workloads",
        "tasks",
        "locks",
        "--variants",
        "bare",
        "agent",
        "--rounds",
        "1",
        "--scale",
        "0.005",
    ]


@pytest.mark.slow
def test_tiny_round_fills_the_table_and_refuses_who_was_idle(
    two_variants: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw.json"

    assert main([*two_variants, "--json", str(raw)]) == 1  # since one variant was refused

    out = capfd.readouterr().out
    passed = out.split("Time that passed")[1].split("Whole process")[0]
    assert "| storm |" in passed
    assert "goal" not in passed
    rows = {line.split("|")[1].strip(): line for line in out.splitlines() if line.startswith("|")}
    for case in ("storm", "storm_of_steps", "lock_free", "lock_contended", "semaphore", "queue"):
        assert rows[case].endswith("| - |")  # the idle variant
        assert rows[case].count("| - |") == 1
    assert "idle recorded nothing (agent_events is 0)" in out
    (results,) = json.loads(raw.read_text())["results"].values()
    runs = results["tasks"]
    assert runs["idle"] == [None]
    assert runs["agent"][0]["cases"]["storm"]["cpu_ns"] > 0
    assert runs["agent"][0]["recorded"]["tasks_created"] >= 2 * 300
    assert (
        runs["agent"][0]["cases"]["storm"]["result"] == runs["bare"][0]["cases"]["storm"]["result"]
    )


@pytest.mark.slow
def test_another_result_than_the_bare_programs_is_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    measured = measuring.RUNNERS["functions"]
    runs = 0

    def altered(*arguments: object) -> object:
        nonlocal runs
        run = measured(*arguments)  # type: ignore[arg-type]  # handed on
        runs += 1
        if runs == 2:
            run.cases["sleep0"].result += 1
        return run

    monkeypatch.setitem(measuring.RUNNERS, "functions", altered)
    words = [
        "--workloads",
        "awaits",
        "--variants",
        "bare",
        "agent",
        "--rounds",
        "1",
        "--scale",
        "0.005",
    ]

    assert main(words) == 1
    assert "awaits, agent: sleep0 has another result" in capfd.readouterr().out

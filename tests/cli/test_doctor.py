import sys
from pathlib import Path

import pytest

from autoinstrument import registry
from autoinstrument.cli.doctor import Check, check_registry, check_settings
from tests.helpers import SCRIPTS, Child, run_child

COMMAND = SCRIPTS / "asyncscope"


def doctor(*arguments: str | Path, env: dict[str, str] | None = None) -> Child:
    return run_child(COMMAND, "doctor", *arguments, python="", env=env)


@pytest.mark.slow
def test_all_is_well_in_this_environment() -> None:
    child = doctor()
    assert (child.status, child.err) == (0, ""), child.out
    lines = child.out.splitlines()
    assert lines[0].startswith(f"[ok] Python: {sys.executable} (")
    assert any(line.startswith("[ok] start-up: ") and "_hook.pth" in line for line in lines)
    assert any(line.startswith("[ok] hooks: ") for line in lines)
    assert "[!!]" not in child.out


@pytest.mark.slow
def test_every_hook_is_listed_on_demand() -> None:
    child = doctor("--hooks")
    assert child.status == 0
    assert child.out.count("\n[--]     ") > 10


@pytest.mark.slow
def test_python_without_the_agent_is_told_how_to_get_it(bare_python: Path) -> None:
    child = doctor("--python", bare_python)
    assert child.status == 1
    assert f"uv pip install --python {bare_python} asyncscope" in child.out


@pytest.mark.slow
def test_what_is_no_python_is_told(tmp_path: Path) -> None:
    child = doctor("--python", tmp_path)
    assert child.status == 1
    assert child.out == f"[!!] {tmp_path} is not a Python that can be started\n"


@pytest.mark.slow
def test_sitecustomize_of_others_is_named(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("")
    child = doctor(env={"PYTHONPATH": str(tmp_path)})
    assert child.status == 0
    assert f"[--] others: sitecustomize: {tmp_path / 'sitecustomize.py'}\n" in child.out


@pytest.mark.slow
def test_wrong_setting_is_named_and_changes_the_status() -> None:
    child = doctor(env={"ASYNCSCOPE_BLOCK_MS": "soon", "ASYNCSCOPE_ENABLE": "1"})
    assert child.status == 1
    assert "[!!] setting ASYNCSCOPE_BLOCK_MS='soon' is not usable" in child.out


def test_settings_are_judged_one_by_one() -> None:
    checks = list(
        check_settings(
            {
                "ASYNCSCOPE_ENABLE": "sure",
                "ASYNCSCOPE_BLOK_MS": "9",
                "ASYNCSCOPE_REPORT": "r.json",
                "OTEL_EXPORTER_OTLP_HEADERS": "token=secret",
                "HOME": "/",
            }
        )
    )
    assert checks == [
        Check(False, "setting ASYNCSCOPE_ENABLE='sure' is none of 1/true/yes/on/0/false/no/off"),
        Check(False, "setting ASYNCSCOPE_BLOK_MS is unknown"),
        Check(None, "setting ASYNCSCOPE_REPORT=r.json"),
        Check(None, "settings of OpenTelemetry: OTEL_EXPORTER_OTLP_HEADERS"),
    ]


def test_variables_of_the_debugger_are_known() -> None:
    environ = {"ASYNCSCOPE_DEBUGPY_WAIT": "1", "ASYNCSCOPE_DEBUGPY_ALLOW_REMOTE": "1"}
    assert [check.good for check in check_settings(environ)] == [None, None]


def test_folder_of_watched_processes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "folders", lambda: [str(tmp_path / "asyncscope")])
    assert check_registry() == Check(
        True, f"watched processes are listed in {tmp_path / 'asyncscope'}"
    )
    (tmp_path / "asyncscope").chmod(0o755)
    found = check_registry()
    assert found.good is None
    assert "can be entered by others" in found.text


def test_mistakes_in_the_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("agent:\n  block_ms: soon\nsesions:\n  max_sessions: 1\n")
    checks = list(check_settings({"ASYNCSCOPE_CONFIG": str(path)}))
    assert [check.good for check in checks] == [False, False, None]
    assert "did you mean 'sessions'?" in checks[0].text
    assert "agent.block_ms" in checks[1].text

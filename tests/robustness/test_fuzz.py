"""Whatever is in a configuration file, a variable or a file to be read: lines, never an error."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoinstrument.arguments import redacted
from autoinstrument.cli.main import main
from autoinstrument.cli.recording import told
from autoinstrument.config.load import load
from autoinstrument.config.schema import Settings
from autoinstrument.config.schema import settings as all_settings
from autoinstrument.config_file import file_section
from autoinstrument.debugger.errors import ConfigError
from autoinstrument.debugger.yaml_subset import parse_yaml
from autoinstrument.export.recording import read_recording
from autoinstrument.findings import KINDS, read_baseline, select

pytestmark = pytest.mark.slow

FUZZ = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = [setting.name for setting in all_settings()]
VARIABLES = [setting.variable for setting in all_settings()]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@FUZZ
@given(
    st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=30), max_size=6),
    st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), JSON, max_size=6),
)
def test_any_settings_give_usable_ones_and_lines(
    environ: dict[str, str], section: dict[str, Any]
) -> None:
    found, problems = load(environ, section)
    assert isinstance(found, Settings)
    for setting in all_settings():
        value = getattr(found, setting.name)
        assert type(value) is type(setting.default)
        if setting.at_least is not None:
            assert value >= setting.at_least
        if setting.at_most is not None:
            assert value <= setting.at_most
    assert all(isinstance(line, str) and line for line in problems)


@FUZZ
@given(st.text(max_size=60) | st.lists(st.sampled_from([*KINDS, "all", "-", "none"])).map(",".join))
def test_any_choice_of_kinds_gives_known_ones(text: str) -> None:
    kinds, problem = select(text)
    assert kinds <= set(KINDS)
    assert isinstance(problem, str)


@FUZZ
@given(st.text(max_size=200) | JSON.map(json.dumps) | JSON.map(repr))
def test_any_yaml_is_read_or_refused_by_name(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_yaml(text, "file.yaml")


@FUZZ
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps({"agent": value}).encode()))
def test_any_configuration_file_is_a_line_at_most(tmp_path: Path, content: bytes) -> None:
    for name in ("c.yaml", "c.json"):
        path = tmp_path / name
        path.write_bytes(content)
        section, _, problems = file_section({"ASYNCSCOPE_CONFIG": str(path)})
        assert isinstance(section, dict)
        assert len(problems) <= 1
        load({}, section)


@FUZZ
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps({"known": value}).encode()))
def test_any_baseline_is_a_line_at_most(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    known, problem = read_baseline(str(path))
    assert all(isinstance(item, str) for item in known)
    assert not (known and problem)


HEAD = {"type": "process", "version": 1, "pid": 1, "python": "3", "argv": [], "started": "S"}
KEYS = ("type", "at", "statistics", "tasks", "number", "kind", "lines", "version", "started")
LINES = st.dictionaries(
    st.sampled_from(KEYS),
    JSON | st.sampled_from(["finding", "state", "end", "dropped", "process"]),
    max_size=6,
)


@FUZZ
@given(st.lists(LINES.map(json.dumps) | st.text(max_size=20), max_size=8), st.integers(0, 400))
def test_any_recording_is_read_or_refused(tmp_path: Path, lines: list[str], cut: int) -> None:
    path = tmp_path / "r.jsonl"
    text = "\n".join([json.dumps(HEAD), *lines])
    path.write_bytes(text.encode("utf-8", "surrogatepass")[: len(text) - cut % (len(text) + 1)])
    with contextlib.suppress(ValueError):
        recording = read_recording(path)
        report = recording.report()
        assert set(report) == {"version", "process", "findings", "statistics"}
        json.dumps(report)


@FUZZ
@given(
    st.binary(max_size=200)
    | st.lists(LINES.map(json.dumps), max_size=5).map(
        lambda lines: "\n".join([json.dumps(HEAD), *lines]).encode()
    )
)
def test_commands_read_any_file_without_a_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    output = str(tmp_path / "out.json")
    for command in (["recording"], ["recording", "--json"], ["baseline", "-o", output]):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert main([*command, str(path)]) in {0, 2}


def test_recording_with_odd_tasks_is_told() -> None:
    from autoinstrument.export.recording import Recording

    recording = Recording({**HEAD, "started": "2026-01-01T00:00:00.000Z"})
    recording.tasks = [{}, {"waiting_at": None, "name": "\x1b[2J"}]
    assert "\x1b" not in told(recording)


@FUZZ
@given(st.lists(st.text(max_size=30) | st.binary(max_size=8) | st.integers(), max_size=12))
def test_any_command_line_is_redacted(argv: list[Any]) -> None:
    shown = redacted(argv)
    assert len(shown) == len(argv)
    assert all(isinstance(word, str) for word in shown)

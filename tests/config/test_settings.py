"""Every setting, its limits, and the line about a value that is of no use."""

from pathlib import Path
from typing import Any

import pytest

from autoinstrument.config.load import load
from autoinstrument.config.schema import Setting, Settings, changed, parse, settings
from tests.helpers import run_child

ALL = {setting.name: setting for setting in settings()}
NUMBERS = [setting for setting in ALL.values() if type(setting.default) in {int, float}]
BOOLS = [setting for setting in ALL.values() if type(setting.default) is bool]


def named(setting: Setting) -> str:
    return setting.name


def test_nothing_set_gives_the_defaults() -> None:
    assert load({}) == (Settings(), [])
    assert changed(Settings()) == {}


@pytest.mark.parametrize("setting", ALL.values(), ids=named)
def test_each_setting_has_a_variable_a_meaning_and_a_valid_default(setting: Setting) -> None:
    assert setting.variable == f"ASYNCSCOPE_{setting.name.upper()}"
    assert len(setting.meaning) > 10
    assert parse(setting, str(setting.default)) == setting.default


def test_variables_are_all_different() -> None:
    assert len({setting.variable for setting in ALL.values()}) == len(ALL)


@pytest.mark.parametrize("setting", ALL.values(), ids=named)
def test_empty_value_is_the_default(setting: Setting) -> None:
    assert load({setting.variable: ""}) == (Settings(), [])


@pytest.mark.parametrize("setting", BOOLS, ids=named)
@pytest.mark.parametrize("text", ["1", "true", "TRUE", "Yes", " on "])
def test_switch_is_on(setting: Setting, text: str) -> None:
    found, problems = load({setting.variable: text})
    assert (getattr(found, setting.name), problems) == (True, [])


@pytest.mark.parametrize("setting", BOOLS, ids=named)
@pytest.mark.parametrize("text", ["0", "false", "No", "OFF", " "])
def test_switch_is_off(setting: Setting, text: str) -> None:
    found, problems = load({setting.variable: text})
    assert (getattr(found, setting.name), problems) == (False, [])


@pytest.mark.parametrize("setting", BOOLS, ids=named)
def test_switch_with_another_word_is_said(setting: Setting) -> None:
    assert load({setting.variable: "maybe"}) == (
        Settings(),
        [
            f"{setting.variable}='maybe' is not usable: expected 1, true, yes, on or "
            f"0, false, no, off; using {setting.default}"
        ],
    )


@pytest.mark.parametrize("setting", NUMBERS, ids=named)
def test_number_at_its_limits_is_taken(setting: Setting) -> None:
    for limit in (setting.at_least, setting.at_most):
        if limit is not None:
            found, problems = load({setting.variable: f" {limit} "})
            assert (getattr(found, setting.name), problems) == (limit, [])
            assert type(getattr(found, setting.name)) is type(setting.default)


@pytest.mark.parametrize("setting", NUMBERS, ids=named)
def test_number_beyond_its_limits_is_said(setting: Setting) -> None:
    wrong = [setting.at_least - 1] if setting.at_least is not None else []
    wrong += [setting.at_most + 1] if setting.at_most is not None else []
    assert wrong
    for value in wrong:
        found, problems = load({setting.variable: str(value)})
        assert found == Settings()
        (problem,) = problems
        assert problem.startswith(f"{setting.variable}='{value}' is not usable: expected a ")
        assert f"number of at least {setting.at_least}" in problem
        assert problem.endswith(f"; using {setting.default}")


@pytest.mark.parametrize(
    "text", ["x", "1,5", "0x10", "nan", "--1", "1 2", "\N{SUPERSCRIPT TWO}", "\u20ac"]
)
@pytest.mark.parametrize("setting", NUMBERS, ids=named)
def test_what_is_no_number_is_said(setting: Setting, text: str) -> None:
    found, problems = load({setting.variable: text})
    assert found == Settings()
    assert len(problems) == 1
    assert repr(text) in problems[0]


def test_whole_numbers_have_no_fraction() -> None:
    found, (problem,) = load({"ASYNCSCOPE_BLOCK_MS": "100.5"})
    assert found.block_ms == 250
    assert "a whole number of at least 20" in problem
    assert load({"ASYNCSCOPE_STALL_S": "2.5"})[0].stall_s == 2.5


@pytest.mark.parametrize("text", ["otlp", "otlp,file", " console , none ", "provider"])
def test_choices_are_taken(text: str) -> None:
    found, problems = load({"ASYNCSCOPE_EXPORTER": text})
    assert (found.exporter, problems) == (text.strip(), [])


@pytest.mark.parametrize("text", ["jaeger", "otlp,", "otlp;file", "OTLP "])
def test_unknown_choice_is_said_with_all_choices(text: str) -> None:
    found, problems = load({"ASYNCSCOPE_EXPORTER": text})
    assert found.exporter == "auto"
    (problem,) = problems
    assert "one or more of auto, otlp, file, console, provider, none; using auto" in problem


def test_several_wrong_values_are_several_lines() -> None:
    environ = {"ASYNCSCOPE_BLOCK_MS": "x", "ASYNCSCOPE_QUIET": "x", "ASYNCSCOPE_REPORT": "/r.json"}
    found, problems = load(environ)
    assert changed(found) == {"report": "/r.json"}
    assert sorted(problem.split("=")[0] for problem in problems) == [
        "ASYNCSCOPE_BLOCK_MS",
        "ASYNCSCOPE_QUIET",
    ]


# -- a file --------------------------------------------------------------------------------


def test_environment_wins_over_the_file_and_the_file_over_the_default() -> None:
    section = {"block_ms": 100, "stack_depth": 12}
    found, problems = load({"ASYNCSCOPE_BLOCK_MS": "300"}, section)
    assert problems == []
    assert changed(found) == {"block_ms": 300, "stack_depth": 12}


def test_wrong_environment_leaves_the_value_of_the_file() -> None:
    found, (problem,) = load({"ASYNCSCOPE_BLOCK_MS": "x"}, {"block_ms": 100})
    assert found.block_ms == 100
    assert problem.endswith("using 100")


@pytest.mark.parametrize("value", [True, "yes", "on", 1])
def test_switch_in_a_file_is_yaml_or_text(value: Any) -> None:
    assert load({}, {"quiet": value})[0].quiet is True


@pytest.mark.parametrize("value", [[], {}, "many", [3]])
def test_wrong_value_in_a_file_names_key_and_file(value: Any) -> None:
    found, (problem,) = load({}, {"block_ms": value}, "debug_config.yaml")
    assert found == Settings()
    assert problem.startswith("agent.block_ms in debug_config.yaml=")


def test_unknown_key_in_a_file_is_said_with_the_nearest_one() -> None:
    found, problems = load({}, {"blok_ms": 5, "7": 1}, "c.yaml")
    assert found == Settings()
    assert problems == [
        "agent.blok_ms in c.yaml is no setting and is left out; did you mean 'block_ms'?",
        "agent.7 in c.yaml is no setting and is left out",
    ]


# -- in a process --------------------------------------------------------------------------


@pytest.mark.slow
def test_wrong_values_are_lines_and_the_program_runs(tmp_path: Path) -> None:
    environ = {setting.variable: "wrong" for setting in NUMBERS}
    environ |= {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_EXPORTER": "wrong"}
    child = run_child("-c", "import asyncio; asyncio.run(asyncio.sleep(0)); print(5)", env=environ)
    assert (child.status, child.out) == (0, "5\n")
    lines = [line for line in child.err.splitlines() if "is not usable" in line]
    assert len(lines) == len(NUMBERS) + 1
    assert all(line.startswith("asyncscope: ASYNCSCOPE_") for line in lines)
    assert "Traceback" not in child.err


@pytest.mark.slow
@pytest.mark.parametrize("setting", NUMBERS, ids=named)
def test_enormous_number_does_not_stop_the_agent(setting: Setting, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    environ = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_REPORT": str(report),
        setting.variable: "1" + "0" * 25,
    }
    child = run_child(
        "-c", "import asyncio; asyncio.run(asyncio.sleep(0.1)); print(5)", env=environ
    )
    assert (child.status, child.out) == (0, "5\n")
    assert report.exists(), child.err
    assert "Traceback" not in child.err
    assert "could not start" not in child.err
    assert "failed" not in child.err

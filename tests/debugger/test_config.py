"""Configuration files: strict, and equal to what is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from autoinstrument.debugger.config import (
    FOREIGN_SECTIONS,
    DebugConfig,
    DebugpyConfig,
    defaults_of,
    load_debug_config,
    load_debugpy_config,
)
from autoinstrument.debugger.errors import ConfigError
from autoinstrument.debugger.yaml_subset import parse_yaml

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_shipped_debugpy_config_has_every_key_with_its_default() -> None:
    content = json.loads((CONFIGS / "debugpy_config.json").read_text())
    assert content == defaults_of(DebugpyConfig)
    assert load_debugpy_config(CONFIGS / "debugpy_config.json") == DebugpyConfig()


def test_shipped_debug_config_has_every_key_with_its_default() -> None:
    path = CONFIGS / "debug_config.yaml"
    content = yaml.safe_load(path.read_text())
    own = {key: value for key, value in content.items() if key not in FOREIGN_SECTIONS}
    expected = defaults_of(DebugConfig)
    expected["remote_debugging"]["debugpy_config"] = "debugpy_config.json"
    assert own == expected
    assert load_debug_config(path).sessions == DebugConfig().sessions


def test_own_reader_agrees_with_a_full_one() -> None:
    text = (CONFIGS / "debug_config.yaml").read_text()
    assert parse_yaml(text) == yaml.safe_load(text)
    odd = (
        """
a: 1
b:
  - x: not a map
""".replace("x: not a map", "'quoted: text'")
        + """
  - plain   # comment
c: {}
d: [1, 2.5, "a, b", true]
e: "tab\\t# no comment"
f:
g:
- same
- depth
h: 1e3
"""
    )
    assert parse_yaml(odd) == {**yaml.safe_load(odd), "h": 1000.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sesions:\n  max_sessions: 1", ["unknown key 'sesions'", "did you mean 'sessions'"]),
        ("sessions:\n  max_session: 1", ["max_session", "did you mean 'max_sessions'"]),
        ("sessions:\n  max_sessions: many", ["sessions: max_sessions", "a whole number", "'many'"]),
        ("sessions:\n  max_sessions: 0", ["1 or more"]),
        ("sessions:\n  max_sessions: true", ["a whole number", "True"]),
        ("logging:\n  level: warn", ["one of debug, info", "did you mean 'warning'"]),
        ("breakpoints:\n  lines: app.py", ["must be a list"]),
        ("breakpoints:\n  lines: [1]", ["must hold a text only"]),
        ("sessions: 3", ["must be a section"]),
        ("remote_debugging:\n  stop_timeout_s: 0", ["more than 0"]),
    ],
)
def test_mistakes_are_named_with_the_nearest_right_thing(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "debug_config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_debug_config(path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["a: &x 1", "a: |\n  b", "a: {b: 1}", "a\n", "a: 1\na: 2", "a: 1\n   b: 2", "a: 'x", "\ta: 1"],
)
def test_reader_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(ConfigError, match="line"):
        parse_yaml(text)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_debug_config(tmp_path / "none.yaml")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        load_debugpy_config(broken)


def test_agent_section_belongs_to_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "debug_config.yaml"
    path.write_text("agent:\n  block_ms: 100\nsessions:\n  max_sessions: 2\n")
    assert load_debug_config(path).sessions.max_sessions == 2

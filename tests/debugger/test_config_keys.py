"""No key of the configuration files is a dead switch."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, get_type_hints

import pytest

from autoinstrument.config.schema import Setting, settings
from autoinstrument.debugger.config import DebugConfig, DebugpyConfig
from tests.helpers import run_child

from . import key_proofs_debugpy  # noqa: F401  (adds its proofs)
from .conftest import ROOT
from .key_proofs import PROOFS, Bench, Proof

if TYPE_CHECKING:
    from pathlib import Path


def all_keys() -> list[str]:
    hints = get_type_hints(DebugConfig)
    sections = {entry.name: hints[entry.name] for entry in fields(DebugConfig)}
    assert all(is_dataclass(section) for section in sections.values())
    sections["debugpy"] = DebugpyConfig
    return [f"{name}.{key.name}" for name, cls in sections.items() for key in fields(cls)]


def name_of(proof: Proof) -> str:
    return str(getattr(proof, "__name__", ""))


def test_every_key_has_a_proof_and_every_proof_a_key() -> None:
    assert sorted(PROOFS) == sorted(all_keys())


@pytest.mark.asyncio
@pytest.mark.parametrize("proof", list(dict.fromkeys(PROOFS.values())), ids=name_of)
async def test_key_changes_something(
    proof: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    await proof(Bench(tmp_path, monkeypatch))


@pytest.mark.parametrize("setting", settings(), ids=lambda setting: setting.name)
def test_setting_of_the_agent_is_read_somewhere(setting: Setting) -> None:
    package = ROOT / "autoinstrument"
    readers = [
        path.name
        for path in package.rglob("*.py")
        if "config" not in path.relative_to(package).parts
        and re.search(rf"\b(settings|options)\.{setting.name}\b", path.read_text())
    ]
    assert readers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agent:\n  debugpy: '0'\n", "debugger listens on 127.0.0.1:"),
        ("agent:\n  break_on: task_leakt\n", "(did you mean 'task_leaked'?)"),
        ("agnet:\n  quiet: true\n", "unknown key 'agnet'; did you mean 'agent'?"),
        ("sessions:\n  max_sesions: 1\n", "did you mean 'max_sessions'?"),
    ],
    ids=["debugpy", "break_on", "section", "key"],
)
def test_file_alone_reaches_the_agent(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "debug_config.yaml"
    path.write_text(text)
    child = run_child(
        "-c",
        "import asyncio; asyncio.run(asyncio.sleep(0))",
        env={
            "ASYNCSCOPE_ENABLE": "1",
            "ASYNCSCOPE_CONFIG": str(path),
            "XDG_RUNTIME_DIR": str(tmp_path),
        },
    )
    assert child.status == 0
    assert words in child.err

"""The documentation against the code: every setting, every kind, every link, real output."""

import re
from pathlib import Path

import pytest

from autoinstrument.config.schema import Setting, settings
from autoinstrument.findings import KINDS
from tests.helpers import ROOT, run_child

DOCS = ROOT / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]


def row(setting: Setting) -> str:
    """Return the line of the table that stands for a setting."""
    words = {"False": "off", "True": "on"}
    default = words.get(str(setting.default), str(setting.default))
    limits = f"at least {setting.at_least}" if setting.at_least is not None else ""
    limits += f", at most {setting.at_most}" if setting.at_most is not None else ""
    shown = f"`{default}`" if default else "none"
    cells = (f"`{setting.variable}`", shown, setting.meaning, limits)
    return "| " + " | ".join(cells) + " |"


def test_table_of_settings_is_the_schema() -> None:
    rows = [line for line in CONFIGURATION.splitlines() if line.startswith("| `ASYNCSCOPE_")]
    expected = [row(setting) for setting in settings()]
    printed = "\n".join(expected)
    assert rows[: len(expected)] == expected, f"the table should be\n{printed}"


def test_no_variable_of_the_documentation_is_unknown() -> None:
    known = {setting.variable for setting in settings()}
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "autoinstrument").rglob("*.py")
    )
    named = {
        name for page in PAGES for name in re.findall(r"ASYNCSCOPE_[A-Z_]+[A-Z]", page.read_text())
    }
    assert {
        name for name in named - known if name not in source and not is_composed(name, source)
    } == set()


def is_composed(name: str, source: str) -> bool:
    """Return whether the code makes a name of the debugger from two parts."""
    prefix = "ASYNCSCOPE_DEBUGPY"
    return name.startswith(prefix) and f'"{name.removeprefix(prefix)}"' in source


def test_every_kind_has_a_section_and_no_section_is_without_a_kind() -> None:
    page = (DOCS / "findings.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## `(\w+)`$", page, flags=re.MULTILINE)) == sorted(KINDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.slow
def test_readme_shows_what_its_first_command_prints() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n(storing was.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert shown is not None
    child = run_child(ROOT / "examples/crossed_scope.py", env={"ASYNCSCOPE_ENABLE": "1"})
    assert child.status == 0
    assert plain(shown[1]) == plain(child.out + child.err)


def plain(text: str) -> str:
    """Return output without what differs from machine to machine: folders and seconds."""
    text = re.sub(r"/\S*/examples/", "examples/", text)
    return re.sub(r"for \d+\.\d s", "for 0 s", text)

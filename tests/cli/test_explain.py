import pytest

from autoinstrument.cli.explain import read_sections, rendered
from autoinstrument.cli.main import main
from autoinstrument.findings import KINDS


def test_every_kind_is_explained() -> None:
    assert set(read_sections()) == set(KINDS)


def test_list_has_a_line_for_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(read_sections())
    assert all(len(line.split()) > 4 for line in lines)


@pytest.mark.parametrize("written", ["lock_deadlock", "[lock_deadlock]", "lock-deadlock"])
def test_kind_is_printed_as_plain_text(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", written]) == 0
    text = capsys.readouterr().out
    assert text.startswith("lock_deadlock\n=============\n")
    for part in ("What it means", "Example", "Remedy"):
        assert f"\n{part}\n{'-' * len(part)}\n" in text
    assert "```" not in text
    assert "lock_reentry\n====" not in text


def test_unknown_kind_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "lock_deadlok"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Try: asyncscope explain lock_deadlock\n" in printed.err


def test_text_is_wrapped_and_code_is_not() -> None:
    markdown = (
        "Some **bold** words that go\nover [the edge](https://x.example).\n\n"
        "- first item which is long\n  enough\n- https://long.example/without-a-blank-anywhere\n\n"
        "```python\nx = 'a line of code that is longer than the width'\n```\n\n    indented code\n"
    )
    assert rendered(markdown, 20).splitlines() == [
        "Some bold words that",
        "go over the edge",
        "(https://x.example).",
        "",
        "- first item which",
        "  is long enough",
        "- https://long.example/without-a-blank-anywhere",
        "",
        "    x = 'a line of code that is longer than the width'",
        "",
        "    indented code",
    ]

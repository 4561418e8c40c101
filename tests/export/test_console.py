"""The summary on stderr."""

from pathlib import Path

from autoinstrument.export.console import summary
from autoinstrument.findings import Finding, Related
from autoinstrument.places import Place

STATISTICS = {
    "tasks": {"created": 12},
    "scopes": {"entered": 3},
    "generators": {"started": 2},
}


def finding(place: Place | None = None, **more: object) -> Finding:
    made = Finding("lock_reentry", "It happened here.", "Do it so.", place)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_healthy_program_gets_one_line() -> None:
    assert summary([], STATISTICS, 1.26) == (
        "asyncscope: no findings; 12 tasks, 3 scopes, 2 async generators watched for 1.3 s\n"
    )


def test_one_of_a_kind_is_singular() -> None:
    one = {"tasks": {"created": 1}, "scopes": {"entered": 1}, "generators": {"started": 1}}
    assert summary([], one, 0.5) == (
        "asyncscope: no findings; 1 task, 1 scope, 1 async generator watched for 0.5 s\n"
    )


def test_notes_follow_in_lines_of_their_own() -> None:
    text = summary([], STATISTICS, 0, notes=["report written to r.json", "second"])
    assert text.splitlines()[1:] == ["asyncscope: report written to r.json", "asyncscope: second"]


def test_finding_is_shown_with_its_line_of_source(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("x = 1\n    await lock.acquire()\n")
    place = Place(str(path), 2, "work")
    other = Related("held since", Place(str(path), 1, "first"), "owner")
    text = summary([finding(place, related=[other])], STATISTICS, 2)
    assert text.splitlines() == [
        "asyncscope: 1 finding; 12 tasks, 3 scopes, 2 async generators watched for 2.0 s",
        "",
        "1. lock_reentry",
        f"   {path}:2 in work",
        "   > await lock.acquire()",
        "   It happened here.",
        f'   held since: {path}:1 in first (task "owner")',
        "   What to do: Do it so.",
        "",
        "Read more: asyncscope explain lock_reentry. "
        "Silence a line with `# asyncscope: ignore[lock_reentry]`.",
    ]


def test_place_is_not_said_twice() -> None:
    place = Place("/nowhere/app.py", 2, "work")
    text = summary([finding(place, related=[Related("again", place)])], STATISTICS, 0)
    assert text.count("/nowhere/app.py:2") == 1
    assert ">" not in text


def test_finding_without_place_is_shown() -> None:
    assert "It happened here." in summary([finding()], STATISTICS, 0)


def test_occurrences_are_counted() -> None:
    text = summary([finding(count=3), finding()], STATISTICS, 0)
    assert text.startswith("asyncscope: 2 findings (4 occurrences); ")
    assert "1. lock_reentry (3 times)" in text


def test_partial_evidence_is_called_possible() -> None:
    assert "1. possible: lock_reentry" in summary([finding(possible=True)], STATISTICS, 0)


def test_many_findings_are_cut_with_the_rest_counted() -> None:
    text = summary([finding(Place("/a.py", n, "f")) for n in range(25)], STATISTICS, 0)
    assert "20. lock_reentry" in text
    assert "21. lock_reentry" not in text
    assert "... and 5 more in the report." in text


def test_long_sentences_are_wrapped() -> None:
    text = summary([finding(message="word " * 100)], STATISTICS, 0)
    assert all(len(line) <= 120 for line in text.splitlines())
    assert text.count("word") == 100


def test_colours_only_when_asked_for() -> None:
    found = [finding(Place("/a.py", 1, "f")), finding(severity="warning")]
    plain, coloured = summary(found, STATISTICS, 0), summary(found, STATISTICS, 0, colours=True)
    assert "\x1b" not in plain
    assert "\x1b[31m1. lock_reentry\x1b[0m" in coloured
    assert "\x1b[33m2. lock_reentry\x1b[0m" in coloured
    assert coloured.count("\x1b[0m") * 2 == coloured.count("\x1b[")


def test_names_of_tasks_cannot_steer_the_terminal() -> None:
    """A name that comes from outside may hold escape sequences."""
    place = Place("/a.py", 1, "f")
    made = finding(
        place,
        message='task "\x1b]0;owned\x07" failed',
        related=[Related("task created", Place("/b.py", 1, "g"), "\x1b[2J")],
    )
    assert "\x1b" not in summary([made], STATISTICS, 0)

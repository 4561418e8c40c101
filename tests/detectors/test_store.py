"""Findings are said once, counted afterwards, bounded, and silenced where asked."""

import ast
import json
import threading
from pathlib import Path

import pytest

from autoinstrument.findings import (
    KINDS,
    Finding,
    FindingStore,
    fingerprint,
    read_baseline,
    select,
    silenced_by_comment,
)
from autoinstrument.places import Place

ALL = frozenset(KINDS)
KIND = "lock_reentry"


def finding(line: int = 1, kind: str = KIND, file: str = "/nowhere/app.py") -> Finding:
    return Finding(kind, "What happened.", "What to do.", Place(file, line, "work"))


def test_new_finding_is_kept_with_its_time() -> None:
    store = FindingStore(ALL)
    assert store.add(finding())
    (kept,) = store.all()
    assert kept.count == 1
    assert kept.first_seen > 1e9


def test_same_fault_at_the_same_place_is_counted() -> None:
    store = FindingStore(ALL)
    assert [store.add(finding()) for _ in range(3)] == [True, False, False]
    assert [kept.count for kept in store.all()] == [3]


def test_finding_made_again_is_counted_as_often_as_it_was_made() -> None:
    store = FindingStore(ALL)
    one, dropped = finding(), finding(100)
    store.add(one)
    store.again(one, 5)
    store.before_reading.append(lambda: store.again(one, 10))
    assert [kept.count for kept in store.all()] == [16]
    for line in range(1, 51):
        store.add(finding(line))
    store.again(dropped, 7)
    assert store.dropped == {KIND: 7}


def test_child_of_a_fork_counts_for_itself() -> None:
    store = FindingStore(ALL)
    one = finding()
    store.add(one)
    store.again(one, 5)
    store.reset()
    store.again(one, 2)
    assert [kept.count for kept in store.all()] == [2]


def test_other_place_kind_or_key_is_another_finding() -> None:
    store = FindingStore(ALL)
    keyed = finding()
    keyed.key = ("one", "two")
    for item in (finding(1), finding(2), finding(1, "lock_deadlock"), keyed):
        assert store.add(item)
    assert [kept.count for kept in store.all()] == [1, 1, 1, 1]


def test_findings_are_in_the_order_in_which_they_were_made() -> None:
    store = FindingStore(ALL)
    for line in (5, 3, 9):
        store.add(finding(line))
    assert [kept.location.line for kept in store.all() if kept.location] == [5, 3, 9]


def test_one_kind_cannot_crowd_out_the_others() -> None:
    store = FindingStore(ALL)
    for line in range(70):
        store.add(finding(line))
    assert store.add(finding(1, "lock_deadlock"))
    assert len(store.all()) == 51
    assert store.dropped == {KIND: 20}
    assert not store.add(finding(0))
    assert store.all()[0].count == 2


def test_kind_that_is_not_asked_for_is_left_out() -> None:
    store = FindingStore(ALL - {KIND})
    assert not store.add(finding())
    assert store.all() == []


def test_finding_without_place_is_accepted() -> None:
    store = FindingStore(ALL)
    assert store.add(Finding(KIND, "What happened.", "What to do.", None))
    assert fingerprint(store.all()[0]) == f"{KIND}::"


def test_listeners_hear_of_new_findings_only() -> None:
    store = FindingStore(ALL)
    heard: list[Finding] = []
    store.added.append(heard.append)
    store.add(finding())
    store.add(finding())
    assert len(heard) == 1


def test_reset_forgets_everything() -> None:
    store = FindingStore(ALL)
    for line in range(60):
        store.add(finding(line))
    store.reset()
    assert (store.all(), store.dropped) == ([], {})
    assert store.add(finding())


def test_threads_lose_no_count() -> None:
    store = FindingStore(ALL)

    def add() -> None:
        for line in range(200):
            store.add(finding(line % 5))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [kept.count for kept in store.all()] == [160] * 5


# -- which kinds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ALL),
        ("all", ALL),
        (" , ", ALL),
        (KIND, {KIND}),
        (f"{KIND}, lock_deadlock", {KIND, "lock_deadlock"}),
        (f"-{KIND}", ALL - {KIND}),
        (f"all,-{KIND},-task_leaked", ALL - {KIND, "task_leaked"}),
        (f"-{KIND},all", ALL - {KIND}),
        ("none", frozenset()),
    ],
)
def test_select_chooses_kinds(text: str, expected: frozenset[str]) -> None:
    assert select(text) == (expected, "")


def test_unknown_kind_is_named_with_the_nearest_one() -> None:
    kinds, problem = select("lock_reentri")
    assert kinds == ALL
    assert problem == (
        "ASYNCSCOPE_DETECT names unknown kinds: 'lock_reentri' (did you mean 'lock_reentry'?); "
        "they are left out"
    )


def test_unknown_kind_far_from_all_has_no_suggestion() -> None:
    assert "did you mean" not in select("-zzz")[1]
    assert "'zzz'" in select("-zzz")[1]


# -- silence by comment --------------------------------------------------------------------

COMMENTED = f"""
plain()
here()  # asyncscope: ignore
kind()  #asyncscope:ignore[{KIND}]
several()  # asyncscope: ignore[task_leaked, {KIND}]
other()  # asyncscope: ignore[task_leaked]
empty()  # asyncscope: ignore[]
many(  # asyncscope: ignore
    1,
    2,
)
last(
    1,
)  # asyncscope: ignore
async def header(  # asyncscope: ignore
    a,
):
    inside()
text = '''
# asyncscope: ignore
'''
"""


@pytest.mark.parametrize(
    ("start", "silenced"),
    [
        ("plain", False),
        ("here", True),
        ("kind", True),
        ("several", True),
        ("other", False),
        ("empty", False),
        ("    2,", True),
        ("last", True),
        ("    a,", True),
        ("    inside", False),
    ],
)
def test_comment_silences_its_statement(tmp_path: Path, start: str, silenced: bool) -> None:
    path = tmp_path / "app.py"
    path.write_text(COMMENTED)
    (line,) = [
        number
        for number, text in enumerate(COMMENTED.splitlines(), 1)
        if text.startswith((start + "(", start)) and text.strip()
    ][:1]
    assert silenced_by_comment(Place(str(path), line, "work"), KIND) is silenced


def test_comment_in_a_file_that_does_not_parse(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("work(  # asyncscope: ignore\n  (((\n")
    assert silenced_by_comment(Place(str(path), 1, "work"), KIND)
    assert not silenced_by_comment(Place(str(path), 2, "work"), KIND)


def test_silenced_findings_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("work()  # asyncscope: ignore\n")
    store = FindingStore(ALL)
    assert not store.add(finding(1, file=str(path)))
    assert store.silenced == 1


# -- baseline ------------------------------------------------------------------------------


def test_fingerprint_outlives_edits_and_moves_of_the_file() -> None:
    assert fingerprint(finding(1)) == fingerprint(finding(77, file="/elsewhere/app.py"))
    assert fingerprint(finding(1)) == f"{KIND}:app.py:work"
    assert fingerprint(finding(1, file="C:\\code\\app.py")) == f"{KIND}:app.py:work"


def test_known_findings_are_not_reported_again(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text(json.dumps({"known": [fingerprint(finding())]}))
    known, problem = read_baseline(str(path))
    assert problem == ""
    store = FindingStore(ALL, known)
    assert not store.add(finding(3))
    assert store.add(finding(3, "lock_deadlock"))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"known": 3}', '{"known": [3]}', '{"known": null}', "\xff"],
    ids=["empty", "broken", "list", "no key", "number", "numbers", "null", "not utf-8"],
)
def test_unusable_baseline_is_one_problem(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.json"
    path.write_text(text, encoding="latin-1")
    known, problem = read_baseline(str(path))
    assert known == frozenset()
    assert problem.startswith(f"baseline {str(path)!r} is not usable (")
    assert problem.endswith("; all findings are shown")
    assert "\n" not in problem


def test_missing_baseline_is_one_problem(tmp_path: Path) -> None:
    assert "FileNotFoundError" in read_baseline(str(tmp_path / "none"))[1]


def test_silenced_line_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked about inside the faulty call, each time: parsing takes a millisecond a page."""
    path = tmp_path / "program.py"
    path.write_text("work()  # asyncscope: ignore\n")
    parsed: list[str] = []
    parse = ast.parse

    def counted(text: str) -> ast.Module:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(ast, "parse", counted)
    store = FindingStore(frozenset(KINDS))
    place = Place(str(path), 1, "<module>")
    for _ in range(5):
        assert not store.add(Finding(KIND, "Message.", "Remedy.", place))
    assert (store.silenced, len(parsed)) == (5, 1)

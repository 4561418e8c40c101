import importlib
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import wrapt

from autoinstrument._boot import import_hook
from autoinstrument._boot.import_hook import forget, when_imported

NAME = "module_that_is_waited_for"


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Offer a folder on the path; take out afterwards what was imported from it."""
    waiting, finders = dict(import_hook._waiting), sys.meta_path[:]
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{NAME}.py").write_text("import sys\nseen = type(__loader__).__name__\nlast = 1\n")
    importlib.invalidate_caches()
    yield tmp_path
    forget()
    sys.modules.pop(NAME, None)
    import_hook._waiting.update(waiting)
    sys.meta_path[:] = finders


def load() -> ModuleType:
    return importlib.import_module(NAME)


def test_callback_comes_once_and_after_the_whole_module_ran() -> None:
    calls: list[object] = []
    when_imported(NAME, lambda module: calls.append((module, module.last)))
    assert calls == []
    module = load()
    assert calls == [(module, 1)]
    importlib.reload(module)
    del sys.modules[NAME]
    load()
    assert len(calls) == 1


def test_module_sees_its_own_loader_while_it_runs_and_after() -> None:
    when_imported(NAME, lambda module: None)
    module = load()
    assert module.seen == "SourceFileLoader"
    assert type(module.__loader__).__name__ == "SourceFileLoader"
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__


def test_callback_is_called_at_once_for_an_imported_module() -> None:
    calls: list[ModuleType] = []
    module = load()
    when_imported(NAME, calls.append)
    assert calls == [module]


def test_same_callback_twice_counts_once() -> None:
    calls: list[ModuleType] = []
    for _ in range(2):
        when_imported(NAME, calls.append)
    assert sys.meta_path.count(import_hook._finder) == 1
    load()
    assert len(calls) == 1


def test_failing_callback_is_one_line_and_the_import_succeeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls: list[ModuleType] = []

    def fail(module: ModuleType) -> None:
        raise ValueError("two\nlines")

    when_imported(NAME, fail)
    when_imported(NAME, calls.append)
    assert load() in calls
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"asyncscope: could not start after the import of {NAME} (ValueError: two lines)\n"
    )


def test_failing_module_fails_as_without_us_and_is_waited_for_on(modules: Path) -> None:
    calls: list[ModuleType] = []
    when_imported(NAME, calls.append)
    good = (modules / f"{NAME}.py").read_text()
    (modules / f"{NAME}.py").write_text("raise LookupError('own fault')")
    with pytest.raises(LookupError, match="own fault"):
        load()
    assert calls == []
    (modules / f"{NAME}.py").write_text(good + "\n")
    importlib.invalidate_caches()
    assert load() in calls


def test_missing_module_stays_missing() -> None:
    when_imported("module_that_does_not_exist", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="module_that_does_not_exist"):
        importlib.import_module("module_that_does_not_exist")
    assert importlib.util.find_spec("module_that_does_not_exist") is None


def test_found_spec_answers_like_the_real_one() -> None:
    when_imported(NAME, lambda module: None)
    spec = importlib.util.find_spec(NAME)
    assert spec is not None
    assert spec.loader is not None
    assert "last = 1" in spec.loader.get_source(NAME)  # type: ignore[attr-defined]  # a file's


def test_other_import_hooks_on_the_same_module_are_called_once_each() -> None:
    calls: list[str] = []
    when_imported(NAME, lambda module: calls.append("ours"))
    wrapt.register_post_import_hook(lambda module: calls.append("wrapt, after"), NAME)
    load()
    assert sorted(calls) == ["ours", "wrapt, after"]


def test_other_thread_gets_the_module_only_after_the_callback() -> None:
    entered, go_on, order = threading.Event(), threading.Event(), list[str]()

    def slow(module: ModuleType) -> None:
        entered.set()
        assert go_on.wait(5)
        order.append("callback ended")

    def second() -> None:
        load()
        order.append("second thread has it")

    when_imported(NAME, slow)
    first_thread = threading.Thread(target=load)
    first_thread.start()
    assert entered.wait(5)
    second_thread = threading.Thread(target=second)
    second_thread.start()
    second_thread.join(0.05)
    go_on.set()
    for thread in (first_thread, second_thread):
        thread.join(5)
    assert order == ["callback ended", "second thread has it"]


def test_forget_removes_every_trace_and_leaves_a_list_in_use_alone() -> None:
    calls: list[ModuleType] = []
    when_imported(NAME, calls.append)
    in_use = sys.meta_path
    forget()
    assert import_hook._finder in in_use
    assert import_hook._finder not in sys.meta_path
    load()
    assert calls == []


def test_finder_can_be_put_in_front_again() -> None:
    calls: list[object] = []

    class Hides:
        """An import hook that loads a module past everybody behind it."""

        def find_spec(self, name: str, path: object = None, target: object = None) -> object:
            return importlib.machinery.PathFinder.find_spec(name) if name == NAME else None

    in_use = sys.meta_path
    when_imported(NAME, calls.append)
    sys.meta_path.insert(0, Hides())  # type: ignore[arg-type]  # returns a spec or None
    import_hook.come_first()
    module = load()
    assert calls == [module]
    assert sys.meta_path is in_use
    assert sys.meta_path.count(import_hook._finder) == 1

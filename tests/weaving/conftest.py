import importlib.util
import itertools
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

Library = Callable[[str], Any]
"""Import a text as a module."""

_numbers = itertools.count()


class Witness:
    """A port that writes down what woven code tells it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def saw(self, *facts: Any) -> None:
        self.seen.append(facts[0] if len(facts) == 1 else facts)

    def result(self, value: Any) -> Any:
        self.seen.append(value)
        return value


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Return a function that imports a text as a module of its own, until the test ends."""
    made: list[str] = []

    def make(text: str) -> ModuleType:
        name = f"library_{next(_numbers)}"
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        made.append(name)
        spec.loader.exec_module(module)
        return module

    yield make
    for name in made:
        linecache.cache.pop(str(sys.modules.pop(name).__file__), None)


def function(module: ModuleType, path: str) -> FunctionType:
    """Return a function of a module by its qualified name."""
    found: Any = module
    for part in path.split("."):
        found = vars(found)[part]
    assert isinstance(found, FunctionType)
    return found

"""Modules are read once, and looked through again only when there are others."""

import os
import sys
from types import CodeType, ModuleType

import pytest

from autoinstrument.hooks.call_sites import CallSites

SOURCE = "def stop(task):\n    task.cancel()\n"


class Modules(dict[str, ModuleType]):
    """Counts how often somebody goes through all of them."""

    passes = 0

    def items(self) -> object:  # type: ignore[override] # what list() needs
        self.passes += 1
        return super().items()


def module(name: str) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = f"/srv/{name}.py"
    exec(compile(SOURCE, made.__file__, "exec"), made.__dict__)  # our own text
    return made


def test_modules_are_gone_through_only_when_there_are_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched: list[CodeType] = []
    modules = Modules({"first": module("first")})
    monkeypatch.setattr(sys, "modules", modules)
    sites = CallSites(watched.append)
    for _ in range(5):
        sites.read_libraries()
    assert [code.co_filename for code in watched] == ["/srv/first.py"]
    assert modules.passes == 1
    modules["second"] = module("second")
    for _ in range(5):
        sites.read_libraries()
    assert [code.co_filename for code in watched] == ["/srv/first.py", "/srv/second.py"]
    assert modules.passes == 2


def test_of_the_standard_library_only_what_cancels_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched: list[CodeType] = []
    names = ("queue", "json.decoder", "asyncio.staggered", "starlette.routing", "code")
    with monkeypatch.context() as patch:
        modules = {name: module(name) for name in names}
        for name in ("queue", "json.decoder"):
            modules[name].__file__ = f"{os.path.dirname(os.__file__)}/{name}.py"
        patch.setattr(sys, "modules", modules)
        CallSites(watched.append).read_libraries()
    assert [code.co_filename for code in watched] == [
        "/srv/asyncio.staggered.py",
        "/srv/starlette.routing.py",
        "/srv/code.py",  # the program's own, in front of the library's
    ]


def test_imported_class_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []
    held = type("Held", (), {"member": 7})
    first, second = ModuleType("first"), ModuleType("second")
    first.Held = second.Held = held  # type: ignore[attr-defined]
    sites = CallSites(lambda code: None)
    monkeypatch.setattr(sites, "_read_value", reads.append)
    sites.read_module(first)
    sites.read_module(second)
    assert reads.count(7) == 1

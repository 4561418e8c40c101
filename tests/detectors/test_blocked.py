"""Which stacks of a blocked loop are worth a finding."""

import sysconfig
from types import CodeType

import pytest

from autoinstrument.monitors import shared_world
from autoinstrument.records import RawPlace

PACKAGE = f"{sysconfig.get_path('purelib')}/somewhere/client.py"
STDLIB = f"{sysconfig.get_path('stdlib')}/platform.py"
IMPORT = "<frozen importlib._bootstrap>"


def frame(file: str, kind: str = "def") -> RawPlace:
    """Return a place in a function of a file."""
    module = compile(f"{kind} work():\n    pass\n", file, "exec")
    (code,) = [const for const in module.co_consts if isinstance(const, CodeType)]
    return code, 0


def told(*stack: RawPlace, milliseconds: int = 400) -> list[str]:
    world = shared_world()
    world.moments.fire("blocked", None, stack, milliseconds * 1_000_000, None)
    return [finding.location.file for finding in world.findings.all() if finding.location]


USER = frame("/srv/app.py", "async def")


@pytest.mark.parametrize(
    "stack",
    [
        (USER,),
        (frame(STDLIB), USER),
        (frame(PACKAGE), frame(PACKAGE), USER),
        (frame(STDLIB), frame(IMPORT), frame(IMPORT), USER),
    ],
    ids=["own code", "standard library", "function of a package", "own import"],
)
def test_what_the_program_calls_is_told(stack: tuple[RawPlace, ...]) -> None:
    assert told(*stack) == ["/srv/app.py"]


@pytest.mark.parametrize(
    "stack",
    [
        (frame(STDLIB), frame(PACKAGE, "async def"), USER),
        (frame(STDLIB), frame(IMPORT), frame(PACKAGE), USER),
        (frame(STDLIB), frame(PACKAGE)),
    ],
    ids=["coroutine of a package", "import by a package", "no code of the program"],
)
def test_what_it_can_do_nothing_about_is_not(stack: tuple[RawPlace, ...]) -> None:
    assert told(*stack) == []


def test_long_block_in_a_coroutine_of_a_package_is_told() -> None:
    stack = (frame(STDLIB), frame(PACKAGE, "async def"), USER)
    assert told(*stack, milliseconds=800) == ["/srv/app.py"]

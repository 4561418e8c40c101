"""Where a suspended task is parked: the chain of coroutines below it, and what it waits for.

Everything here reads objects of the watched program from outside; it runs when a
cancellation is requested, when a wait lasts long, and for snapshots, never on a hot path.
"""

import gc
import inspect
from collections.abc import Iterator, Set
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final

from autoinstrument import env
from autoinstrument.places import is_own_file, is_user_file
from autoinstrument.records import FlatStack, RawStack, pairs

ASYNC_GENERATOR: Final = inspect.CO_ASYNC_GENERATOR
_OPAQUE: Final = frozenset(
    {
        "async_generator_asend",
        "async_generator_athrow",
        "anext_awaitable",
        "coroutine_wrapper",
    }
)
_DEPTH: Final = 200
_STEPS: Final = range(_DEPTH)
_future_iter: Final[list[type]] = [object]  # what most tasks wait in last, once one has been seen


def root_of(task: Any) -> Any:
    """Return the coroutine of a task that is not over, or None.

    In Python 3.12.0 and 3.12.1 `get_coro()` of an eager task that ended at once crashes.
    """
    try:
        return None if task.done() else task.get_coro()
    except Exception:  # a task factory may return anything
        return None


def parked(task: Any) -> RawStack:
    """Return where a task is suspended, innermost first; empty when it cannot be told."""
    return pairs(parked_flat(task))


def parked_flat(task: Any) -> FlatStack:
    """Return what `parked` does as a flat stack."""
    return parked_below(root_of(task))


def parked_below(root: Any) -> FlatStack:
    """Return where the outermost coroutine of a task and those below it are suspended."""
    safe = env.AWAIT_IS_SAFE
    found: FlatStack = ()
    step = root
    try:
        for _ in _STEPS:
            if type(step) is not CoroutineType:
                break
            frame: Any = step.cr_frame
            found = (frame.f_code, frame.f_lasti) + found  # noqa: RUF005 # half of what unpacking takes
            step = step.cr_await if safe or not step.cr_running else None
    except AttributeError:  # it has just ended
        return found
    if step is None or type(step) is _future_iter[0]:
        return found
    if type(step).__name__ == "FutureIter":
        _future_iter[0] = type(step)
        return found
    for code, lasti, _ in _frames(step):
        found = (code, lasti, *found)
    return found


def suspended_generators(task: Any) -> list[AsyncGeneratorType[Any, Any]]:
    """Return the async generators on a suspended task's chain, outermost first."""
    return [step for _, _, step in _frames(root_of(task)) if isinstance(step, AsyncGeneratorType)]


def _frames(step: Any) -> Iterator[tuple[CodeType, int, Any]]:
    """Yield code, instruction and object of each step, outermost first, down to one that runs."""
    for _, inner in _steps(step):
        frame = _frame_of(inner)
        if frame is not None:
            yield frame.f_code, frame.f_lasti, inner


def _frame_of(step: Any) -> FrameType | None:
    """Return the frame of a step; the interpreter makes one and keeps it as long as the step."""
    if isinstance(step, CoroutineType):
        return step.cr_frame
    found: FrameType | None = (
        step.ag_frame if isinstance(step, AsyncGeneratorType) else step.gi_frame
    )
    return found


def _steps(step: Any) -> Iterator[tuple[CodeType, Any]]:
    """Yield code and object of each step, outermost first, down to one that runs.

    Before 3.13 (`env.AWAIT_IS_SAFE`), `cr_await` and its like read the instruction after the
    current one to tell whether a coroutine awaits. While it runs that may be a counter of the
    interpreter, which can look like an await: what is taken from its stack then is no object, and
    the process crashes. Nothing between the question and the answer gives another thread a turn.
    """
    for _ in range(_DEPTH):
        if isinstance(step, CoroutineType):
            code: CodeType = step.cr_code
            after = None if step.cr_running else step.cr_await
        elif isinstance(step, AsyncGeneratorType):
            code, after = step.ag_code, step.ag_await  # who drives it is suspended
        elif isinstance(step, GeneratorType):
            code = step.gi_code
            after = None if step.gi_running else step.gi_yieldfrom
        elif type(step).__name__ in _OPAQUE:
            step = _behind(step)
            continue
        else:
            return
        yield code, step
        step = after


def _behind(step: Any) -> Any:
    """Return the generator or awaitable that an opaque helper object of the interpreter drives."""
    for referent in gc.get_referents(step):
        if isinstance(referent, AsyncGeneratorType | CoroutineType | GeneratorType):
            return referent
        if type(referent).__name__ in _OPAQUE:
            return referent
    return None


def awaited(task: Any) -> Any:
    """Return the future or task that a suspended task waits for, or None."""
    return getattr(task, "_fut_waiter", None)


def frame_locals(task: Any, qualname: str) -> dict[str, Any]:
    """Return the locals of a *library* function on a suspended task's chain.

    Only for functions whose locals are known, such as `wait` of asyncio; empty otherwise.
    """
    for _, names in library_locals(task, {qualname}):
        return names
    return {}


def library_locals(task: Any, qualnames: Set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and locals of *library* coroutines on a suspended task's chain, innermost first.

    Only for functions whose locals are known, see `frame_locals`.
    """
    for code, step in reversed(list(_steps(root_of(task)))):
        if code.co_qualname in qualnames and not is_user_file(code.co_filename):
            frame = getattr(step, "cr_frame", None)
            if frame is not None:
                yield code.co_qualname, dict(frame.f_locals)


def generator_frames(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of async generators on a running stack, innermost first."""
    found = []
    while frame is not None:
        if frame.f_code.co_flags & ASYNC_GENERATOR and not is_own_file(frame.f_code.co_filename):
            found.append(frame)
        frame = frame.f_back
    return found

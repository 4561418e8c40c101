"""The moments at which detectors look at records, and what happens when one of them fails."""

from _thread import get_ident
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

Check: TypeAlias = Callable[..., None]

MOMENTS: Final = (
    "cancellation_thrown",  # task record, stack: it arrives, and somebody scheduled one
    "cancel_requested",  # task record, origin; by a scope that is still open at the next tick
    "wait_cancelled",  # task record, origin: it was seen waiting for what it waits for now
    "scope_left",  # scope record, leaving task's record, frame
    "timeout_left",  # scope record, whether an exception passes, leaving task's record
    "wait_expired",  # task record, stack: a deadline ends its wait for a future (Python 3.11)
    "wait_for_returned",  # record of what was cancelled at the deadline, stack (Python 3.11)
    "lock_waited",  # wait record: a task begins to wait, and no holder is ready to run
    "lock_wait_ended",  # wait record: it was broken off, or its task waited long for the lock
    "lock_released",  # lock record, hold or None, releasing task's record, stack
    "generator_dropped",  # generator record, generator, how
    "generator_dropped_again",  # generator record, how many more were collected after it
    "scope_spinning",  # scope record
    "generator_called",  # generator, method name, calling task's record, frame
    "detach_failed",  # frame
    "gather_failed",  # gather record
    "shield_left",  # shield record
    "loop_error",  # context dictionary of the exception handler
    "loop_ending",  # loop: what is left is about to be cancelled, or ends with the process
    "loop_closing",  # loop: close() was called
    "loop_dropped",  # loop: the process ends by a signal while it runs
    "loop_mismatch",  # object bound to another loop, frame
    "error_seen",  # exception, stack, task record: it leaves a frame, or ended a task
    "library_hooked",  # module: its hooks are in place
    "exit_requested",  # the argument of the SystemExit that leaves the program
    "throws_count",  # nothing: what is thrown into coroutines may tell something from now on
    "root_seen",  # code object of a task's coroutine, its global names
    "loop_started",  # loop record
    "loop_stopped",  # loop record
    "unawaited",  # coroutine, frame
    "blocked",  # loop record, stack, duration_ns, task record
    "tick",  # monotonic ns
    "tasks_wait",  # records of tasks that were seen twice to wait for the same thing: told once
    "locks_waited_for",  # monotonic ns, some of the waits that last, in turns
    "exit",  # nothing
)


class Moments:
    """Tells registered checks about facts; a check that fails is switched off, once and for all."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Start without checks; `say` puts one line on stderr."""
        self.unfinished = False
        """Set by a check that has more to do at the next tick; only the agent's thread asks."""
        self._checks: dict[str, tuple[Check, ...]] = dict.fromkeys(MOMENTS, ())
        self._collecting: dict[int, dict[str, tuple[Check, ...]]] = {}  # by thread
        self._say = say
        self._failed: set[str] = set()
        self._closed = False

    def on(self, moment: str, check: Check) -> None:
        """Add a check to a moment."""
        collected = self._collecting.get(get_ident())
        if collected is None:
            self._checks[moment] += (check,)
        else:
            collected[moment] = (*collected.get(moment, ()), check)

    def collected(self, add: Callable[[], None]) -> dict[str, tuple[Check, ...]]:
        """Return the checks that `add` adds, by moment, without adding them."""
        found: dict[str, tuple[Check, ...]] = {}
        self._collecting[get_ident()] = found
        try:
            add()
        finally:
            del self._collecting[get_ident()]
        return found

    def replace(self, moment: str, check: Check, others: Sequence[Check]) -> None:
        """Put other checks in the place of one."""
        if not self._closed:
            checks = self._checks[moment]
            self._checks[moment] = tuple(
                new for old in checks for new in (others if old is check else (old,))
            )

    def fire(self, moment: str, *facts: Any) -> None:
        """Run the checks of a moment, in the thread in which it happens."""
        for check in self._checks[moment]:  # as in `run`, a call less
            try:
                check(*facts)
            except Exception as exc:
                self._check_failed(moment, check, exc)

    def run(self, moment: str, checks: Sequence[Check], facts: tuple[Any, ...]) -> None:
        """Run some of the checks of a moment."""
        for check in checks:
            try:
                check(*facts)
            except Exception as exc:
                self._check_failed(moment, check, exc)

    def _check_failed(self, moment: str, check: Check, exc: BaseException) -> None:
        self.replace(moment, check, ())
        self.failed(getattr(check, "__module__", "check").rsplit(".", 1)[-1], exc)

    def close(self) -> None:
        """Run no check any more: the report is written, and the interpreter is taken down."""
        self._closed = True
        self._checks = dict.fromkeys(MOMENTS, ())

    def failed(self, part: str, exc: BaseException) -> None:
        """Say once that a part of ours failed and what that means."""
        if part in self._failed or self._closed:
            return
        self._failed.add(part)
        step = exc.__traceback__
        place = ""
        while step is not None:
            place = f" at {step.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{step.tb_lineno}"
            step = step.tb_next
        self._say(
            f"{part} failed ({type(exc).__name__}: {exc}{place}) and is switched off; "
            "the program is not affected"
        )

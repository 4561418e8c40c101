"""A generator is used by a task while another is inside, or closed by a task it is not bound to."""

from types import FrameType
from typing import Any, Final

from autoinstrument import env
from autoinstrument.detectors._tools import (
    at,
    frame_line,
    frame_place,
    generator_codes,
    named_task,
    related,
    shown,
    task_text,
)
from autoinstrument.findings import Finding
from autoinstrument.places import capture, has_user_frame
from autoinstrument.records import GeneratorRecord, RawPlace, RawStack, ScopeRecord, TaskRecord
from autoinstrument.stacks import generator_frames
from autoinstrument.world import World

KIND: Final = "async_generator_cross_task"


def attach(world: World) -> None:
    """Look at each explicit step or close of a generator, inside the call."""
    checks = _Checks(world)
    world.moments.on("generator_called", checks.called)
    world.moments.on("detach_failed", checks.detach_failed)
    world.moments.on("error_seen", checks.error_seen)
    if not env.HAS_MONITORING:
        world.moments.on("scope_left", checks.scope_left)


class _Checks:
    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: set[RawPlace] = set()

    def called(
        self, generator: Any, method: str, task: TaskRecord | None, frame: FrameType
    ) -> None:
        record = self._world.generators.record_of(generator)
        if record is None or task is None or record.owner is None or record.finalized_by:
            return  # the loop closes what nobody closed: async_generator_not_closed
        if generator.ag_running:
            self._seen.add((frame.f_code, frame.f_lasti))
            inside = self._inside(generator, task)
            if inside is not None:
                why = (
                    f"{task_text(inside)} was inside it, suspended"
                    f"{at(frame_line(generator.ag_frame)) if generator.ag_frame else ''}"
                )
                self._report(record, task, capture(frame, 16), method, why, busy=True)
        elif record.owner is not task and method in {"aclose", "athrow"}:
            bound = self._bound(generator)
            if bound:
                self._report(record, task, capture(frame, 16), method, bound, busy=False)

    def _inside(self, generator: Any, task: TaskRecord) -> TaskRecord | None:
        """Return the task that is suspended inside a running generator."""
        from autoinstrument.stacks import suspended_generators

        for record in self._world.tasks.pending():
            other = record()
            if other is None or record is task:
                continue
            if any(step is generator for step in suspended_generators(other)):
                return record
        return None

    def _bound(self, generator: Any) -> str:
        """Return what ties a suspended generator to its task, or ""."""
        frame = generator.ag_frame
        if frame is None:
            return ""
        code = frame.f_code
        for scope in self._world.scopes.open:
            if any(raw[0] is code for raw in scope.stack):
                return f"it holds a scope entered{at(frame_place(scope.stack))}"
        return ""

    def error_seen(self, error: BaseException, stack: RawStack, task: TaskRecord | None) -> None:
        """The interpreter refused a step of a busy generator, or a token of another context."""
        text = str(error.args[0]) if error.args else ""
        if type(error) is ValueError and "different Context" in text:
            self._token_refused(stack, task)
        elif type(error) is RuntimeError and "generator is already running" in text:
            self._busy(text, stack, task)

    def _token_refused(self, stack: RawStack, task: TaskRecord | None) -> None:
        for code in generator_codes(stack):
            record = self._world.generators.by_code(code)
            if record is not None and task is not None and record.owner is not task:
                outer = tuple(raw for raw in stack if raw[0] is not code) or stack
                why = "it keeps a context variable token, which was refused in the other context"
                self._report(record, task, outer, "aclose", why, busy=False)
                return

    def _busy(self, text: str, stack: RawStack, task: TaskRecord | None) -> None:
        if task is None or not has_user_frame(stack) or stack[0] in self._seen:
            return
        for record in self._world.generators.live:
            generator = record()
            if generator is None or not generator.ag_running:
                continue
            inside = self._inside(generator, task)
            if inside is not None:
                method = text.partition("(")[0]
                why = f"{task_text(inside)} was inside it"
                self._report(record, task, stack, method, why, busy=True)
                return

    def scope_left(self, scope: ScopeRecord, task: TaskRecord | None, frame: FrameType) -> None:
        """Another task leaves a scope that was entered in a generator: it closes the generator.

        Where calls of `aclose()` cannot be seen, this is what shows of them.
        """
        if task is None or scope.owner is task:
            return
        for step in generator_frames(frame):
            record = self._world.generators.by_frame(step)
            if record is None or record.owner is task or record.finalized_by:
                continue
            if any(raw[0] is step.f_code for raw in scope.stack):
                why = f"it holds a scope entered{at(frame_place(scope.stack))}"
                outer = capture(step.f_back, 16)
                if has_user_frame(outer):
                    self._report(record, task, outer, "aclose", why, busy=False)
            return

    def detach_failed(self, frame: FrameType) -> None:
        """A context token was refused; was it a generator that carried it?"""
        task = self._world.tasks.current()
        for step in generator_frames(frame):
            record = self._world.generators.by_frame(step)
            if record is None or task is None or record.owner is task:
                continue
            why = "it keeps a context token, which was refused in the other task's context"
            stack = capture(step.f_back, 16) or capture(frame, 16)
            self._report(record, task, stack, "aclose", why, busy=False)
            return

    def _report(
        self,
        record: GeneratorRecord,
        task: TaskRecord,
        stack: RawStack,
        method: str,
        why: str,
        *,
        busy: bool,
    ) -> None:
        location = frame_place(stack)
        started = frame_place(record.stack)
        verb = "stepped" if method in {"anext", "__anext__", "asend"} else "closed"
        message = (
            f"The asynchronous generator {record.qualname}(), started{at(started)} by "
            f"{named_task(record.owner_name)}, was {verb} by {task_text(task)}{at(location)} "
            f"although {why}."
        )
        remedy = (
            "Let one task iterate and close the generator; cancel and await that task before "
            "anybody else closes it."
            if busy
            else "Iterate and close it in one task (`async with contextlib.aclosing(...)`), or "
            "keep context variables and scopes out of the generator."
        )
        finding = Finding(KIND, message, remedy, location, task=task.name, stack=shown(stack))
        finding.related = related("generator started", started, record.owner_name)
        self._world.report(finding)

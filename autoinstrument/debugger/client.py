"""`AsyncDebugClient`: everything a person does in an IDE, as coroutines.

Works with any Debug Adapter Protocol server for Python that one can attach to: the adapter that
`debugpy.listen` starts, and pydevd itself. One client belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import model
from .breakpoints import check_breakpoint, full_path
from .dap import Event, JsonObject, Phase
from .errors import (
    BreakpointRefused,
    DapStateError,
    DebuggerBusy,
    DebuggerError,
    DebugTimeout,
    NotConnected,
    NotStopped,
    RequestFailed,
    ResumeLost,
)
from .model import (
    Breakpoint,
    BreakpointSpec,
    Evaluation,
    ExceptionFilters,
    ExceptionInfo,
    Scope,
    StackFrame,
    Stop,
    Thread,
    Variable,
)
from .remote_code import call_in_debuggee
from .transport import Subscription, Transport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from .tasks import TaskInfo

_log = logging.getLogger(__name__)
_SETTLE_S: Final = 0.1
_SETTLE_POLL_S: Final = 0.005
_ASLEEP: Final = (
    "all(getattr(t.additional_info, 'is_in_wait_loop', False)"
    " for t in __import__('threading').enumerate()"
    " if not getattr(t, 'pydev_do_not_trace', False) and getattr(t, 'additional_info', None))"
)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a client behaves.

    Attributes:
        connect_timeout_s: For the connection and for the whole handshake.
        request_timeout_s: For each answer.
        just_my_code: Hide frames of the standard library and of site-packages, and do not stop
            there.
        repair_pydevd: Apply the repairs of `pydevd_fixes` in the debuggee (quick answers,
            breakpoints that reach parked coroutines).
        redirect_output: Report what the program prints as `output` events.
    """

    connect_timeout_s: float = 10.0
    request_timeout_s: float = 10.0
    just_my_code: bool = True
    repair_pydevd: bool = True
    redirect_output: bool = False


@dataclass(slots=True)
class _Wanted:
    """What the debuggee was asked for; sent again with every connection."""

    lines: dict[str, list[BreakpointSpec]] = field(default_factory=dict)
    functions: list[tuple[str, str | None]] = field(default_factory=list)
    exceptions: ExceptionFilters = field(default_factory=ExceptionFilters)


class AsyncDebugClient:
    """A debug client for one process.

    ```python
    async with AsyncDebugClient("127.0.0.1", 5678) as client:
        await client.set_breakpoints("/srv/app.py", [41])
        stop = await client.wait_stopped(timeout_s=30)
        for frame in await client.stack_trace(stop.thread_id):
            print(frame.path, frame.line, frame.name)
        await client.continue_()
    ```

    Leaving the block disconnects; the program runs on, without breakpoints.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 5678, options: ClientOptions | None = None
    ) -> None:
        """Remember the address; `open` connects."""
        self.host = host
        self.port = port
        self.options = options or ClientOptions()
        self._transport: Transport | None = None
        self._wanted = _Wanted()
        self._stops: dict[int, Stop] = {}
        self._stop_serial = 0
        self._stopped_at = 0.0
        self._taken_serial = 0
        self._resuming = asyncio.Lock()

    # -- life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> AsyncDebugClient:
        """Connect and attach."""
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect; the program runs on."""
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether requests can be made."""
        return self._transport is not None and self._transport.phase is Phase.READY

    @property
    def capabilities(self) -> JsonObject:
        """What the debugger says it can do; empty before `open`."""
        return self._transport.capabilities if self._transport is not None else {}

    async def open(self) -> None:
        """Connect to the address and attach.

        Raises:
            ConnectFailed: nothing listens there, or it is no debugger.
            DebuggerBusy: another client is attached.
            DebugTimeout: the handshake did not end within `connect_timeout_s`.
        """
        if self.connected:
            raise DapStateError("the client is connected already")
        transport = await open_transport(self.host, self.port, self.options.connect_timeout_s)
        await self.attach_over(transport)

    async def attach_over(self, transport: Transport, token: str | None = None) -> None:
        """Attach over a connection that exists already; with `token` the debuggee must know it."""
        self._transport = transport
        self._stops.clear()
        transport.on_event = self._note
        try:
            async with asyncio.timeout(self.options.connect_timeout_s):
                await self._handshake(transport, token)
        except TimeoutError as exc:
            await self._drop()
            limit = self.options.connect_timeout_s
            raise DebugTimeout(f"the handshake took more than {limit} s") from exc
        except BaseException:
            await self._drop()
            raise

    async def reconnect(self) -> None:
        """Connect again, after a loss or not, and set all breakpoints again.

        For `connect_timeout_s` a refusal as busy is taken for our own old connection, whose end
        the debugger has not noticed yet.
        """
        await self.close()
        end = time.monotonic() + self.options.connect_timeout_s
        while True:
            try:
                return await self.open()
            except DebuggerBusy:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.05)

    async def disconnect(self) -> None:
        """Detach without ending the program; it runs on without breakpoints."""
        transport = self._transport
        if transport is None:
            return
        try:
            if transport.may_send("disconnect"):
                await transport.request(
                    "disconnect", {"terminateDebuggee": False}, self.options.request_timeout_s
                )
        finally:
            await self._drop()

    async def close(self) -> None:
        """Disconnect, and do not mind if the other side is gone or silent."""
        with suppress(DebuggerError):
            await self.disconnect()

    async def _drop(self) -> None:
        transport, self._transport = self._transport, None
        self._stops.clear()
        if transport is not None:
            await transport.close()

    async def _handshake(self, transport: Transport, token: str | None) -> None:
        if token is not None:
            await self._authorize(transport, token)
        await transport.request("initialize", _INITIALIZE, None)
        with transport.subscribe("initialized") as initialized:
            # The answer to `attach` comes after `configurationDone`: it must not be awaited yet.
            attach = asyncio.ensure_future(
                transport.request("attach", self._attach_arguments(), None)
            )
            greeted = asyncio.ensure_future(initialized.get())
            try:
                await asyncio.wait({attach, greeted}, return_when=asyncio.FIRST_COMPLETED)
                if not greeted.done():
                    _raise_if_refused(attach)
                    await greeted
                await self._configure()
                await transport.request("configurationDone", None, None)
                await asyncio.wait({attach})
                _raise_if_refused(attach)
            finally:
                await _discard(attach, greeted)
        if self.options.repair_pydevd:
            await self._repair()

    async def _repair(self) -> None:
        install: JsonObject = {"expression": call_in_debuggee("install"), "context": "repl"}
        try:
            failed = model.text(await self._ask("evaluate", install), "result")
        except RequestFailed as exc:
            failed = exc.text
        if failed:
            _log.info("debugging works, but slowly or incompletely: %s", failed)

    async def _authorize(self, transport: Transport, token: str) -> None:
        answer = await transport.request("pydevdAuthorize", {"debugServerAccessToken": None}, None)
        if answer.get("clientAccessToken") != token:
            raise NotConnected("the process that connected does not know the token")

    async def _configure(self) -> None:
        for path in self._wanted.lines:
            await self._send_lines(path)
        await self._send_exceptions()
        if self._wanted.functions:
            await self._send_functions()

    def _attach_arguments(self) -> JsonObject:
        arguments: JsonObject = {
            "justMyCode": self.options.just_my_code,
            "subProcess": False,
            "redirectOutput": self.options.redirect_output,
        }
        return arguments

    # -- events --------------------------------------------------------------------------------

    def subscribe(self, *events: str) -> Subscription:
        """Return a queue of the events named (all, if none is), to be used with `with`."""
        return self._live().subscribe(*events)

    async def wait_event(
        self,
        event: str,
        timeout_s: float | None = None,
        predicate: Callable[[Event], bool] | None = None,
    ) -> Event:
        """Wait for the next event of that name for which `predicate` holds.

        Raises:
            DebugTimeout: it did not come in time (default: the request timeout).
            ConnectionLost: the connection ended first.
        """
        limit = self.options.request_timeout_s if timeout_s is None else timeout_s
        with self.subscribe(event) as events:
            try:
                async with asyncio.timeout(limit):
                    while True:
                        found = await events.get()
                        if predicate is None or predicate(found):
                            return found
            except TimeoutError as exc:
                raise DebugTimeout(f"no {event!r} event within {limit} s") from exc

    def _note(self, event: Event) -> None:
        if event.event == "stopped":
            self._stop_serial += 1
            self._stopped_at = time.monotonic()
            stop = model.read_stop(event.body, self._stop_serial)
            self._stops[stop.thread_id] = stop
        elif event.event == "continued":
            if event.body.get("allThreadsContinued", True):
                self._stops.clear()
            else:
                self._stops.pop(model.integer(event.body, "threadId"), None)
        elif event.event in ("terminated", "exited"):
            self._stops.clear()

    @property
    def stop(self) -> Stop | None:
        """The latest stop that still lasts, or `None` while the program runs."""
        return max(self._stops.values(), key=lambda stop: stop.serial, default=None)

    async def wait_stopped(self, timeout_s: float | None = None) -> Stop:
        """Wait for the next stop; one that nobody has taken yet is returned at once.

        Raises:
            DebugTimeout: the program ran on (a pause takes effect at the next line of user code,
                which an idle loop never reaches).
        """
        stop = self.stop
        if stop is None or stop.serial <= self._taken_serial:
            event = await self.wait_event("stopped", timeout_s)
            stop = self._stops.get(model.integer(event.body, "threadId"))
            if stop is None:
                stop = model.read_stop(event.body, self._stop_serial)
        self._taken_serial = stop.serial
        return stop

    # -- breakpoints ---------------------------------------------------------------------------

    async def set_breakpoints(
        self, path: str | Path, breakpoints: Iterable[BreakpointSpec | int]
    ) -> list[Breakpoint]:
        """Replace all line breakpoints of a file, and return them as the debugger has them.

        Numbers are lines. Hit counts of that file start again.

        Raises:
            BreakpointRefused: a breakpoint that could never hit; nothing was changed.
        """
        full = full_path(path)
        specs = [_spec(entry) for entry in breakpoints]
        checked = [check_breakpoint(full, spec) for spec in specs]
        self._wanted.lines[full] = checked
        answer = await self._send_lines(full)
        if not checked:
            del self._wanted.lines[full]
        return answer

    async def add_breakpoint(self, path: str | Path, spec: BreakpointSpec | int) -> Breakpoint:
        """Add one line breakpoint; one that is on that line already is replaced."""
        full = full_path(path)
        checked = check_breakpoint(full, _spec(spec))
        others = [s for s in self._wanted.lines.get(full, ()) if s.line != checked.line]
        return (await self.set_breakpoints(full, [*others, checked]))[-1]

    async def remove_breakpoint(self, path: str | Path, line: int) -> bool:
        """Remove the breakpoint of a line; say whether there was one."""
        full = full_path(path)
        before = self._wanted.lines.get(full, [])
        after = [spec for spec in before if spec.line != line]
        if len(after) == len(before):
            return False
        await self.set_breakpoints(full, after)
        return True

    def line_breakpoints(self) -> dict[str, list[BreakpointSpec]]:
        """Return the line breakpoints that are set, by file."""
        return {path: list(specs) for path, specs in self._wanted.lines.items()}

    async def clear_breakpoints(self) -> None:
        """Remove all line, function and exception breakpoints."""
        for path in list(self._wanted.lines):
            await self.set_breakpoints(path, [])
        if self._wanted.functions:
            await self.set_function_breakpoints([])
        await self.set_exception_breakpoints()

    async def set_function_breakpoints(
        self, names: Sequence[str | tuple[str, str | None]]
    ) -> list[Breakpoint]:
        """Replace all function breakpoints: plain function names, or (name, condition)."""
        wanted = [(entry, None) if isinstance(entry, str) else entry for entry in names]
        for name, _ in wanted:
            if not name.isidentifier():
                raise BreakpointRefused(f"function breakpoints take plain names, not {name!r}")
        self._wanted.functions = wanted
        return await self._send_functions()

    async def set_exception_breakpoints(self, *filters: str, types: Sequence[str] = ()) -> None:
        """Stop at exceptions: any of `raised`, `uncaught`, `userUnhandled`; none switches off.

        `types` limits it to exception types, by name (`KeyError`) or path (`httpx.ReadTimeout`).
        """
        for name in filters:
            if name not in _BREAK_MODES:
                known = ", ".join(_BREAK_MODES)
                raise BreakpointRefused(f"exception filter must be one of {known}, not {name!r}")
        self._wanted.exceptions = ExceptionFilters(filters, tuple(types))
        await self._send_exceptions()

    async def _send_lines(self, path: str) -> list[Breakpoint]:
        specs = self._wanted.lines[path]
        body = await self._ask(
            "setBreakpoints",
            {
                "source": {"path": path, "name": Path(path).name},
                "breakpoints": [spec.to_dap() for spec in specs],
            },
        )
        raw = model.objects(body, "breakpoints")
        return [
            model.read_breakpoint(entry, path, spec.line)
            for entry, spec in zip(raw, specs, strict=False)
        ]

    async def _send_functions(self) -> list[Breakpoint]:
        wanted = self._wanted.functions
        entries = [
            {"name": name} | ({"condition": condition} if condition else {})
            for name, condition in wanted
        ]
        body = await self._ask("setFunctionBreakpoints", {"breakpoints": entries})
        return [model.read_breakpoint(raw, "", 0) for raw in model.objects(body, "breakpoints")]

    async def _send_exceptions(self) -> None:
        wanted = self._wanted.exceptions
        arguments: JsonObject = {"filters": list(wanted.filters)}
        if wanted.types:
            path = [{"names": ["Python Exceptions"]}, {"names": list(wanted.types)}]
            arguments["exceptionOptions"] = [
                {"path": path, "breakMode": _BREAK_MODES[name]} for name in wanted.filters
            ]
        await self._ask("setExceptionBreakpoints", arguments)

    # -- looking -------------------------------------------------------------------------------

    async def threads(self) -> list[Thread]:
        """Return the threads, running or not."""
        body = await self._ask("threads")
        raw = model.objects(body, "threads")
        return [Thread(model.integer(entry, "id"), model.text(entry, "name")) for entry in raw]

    async def stack_trace(
        self, thread_id: int | None = None, levels: int | None = None
    ) -> list[StackFrame]:
        """Return a thread's stack, innermost frame first; of the stopped thread by default.

        Works for running threads too: nothing is paused for it, and its frames cannot be used for
        `evaluate`. Only what is on the thread's stack is in it; see `awaiting_chain`.
        """
        arguments: JsonObject = {"threadId": self._thread(thread_id)}
        if levels is not None:
            arguments["levels"] = levels
        body = await self._ask("stackTrace", arguments)
        return [model.read_frame(raw) for raw in model.objects(body, "stackFrames")]

    async def scopes(self, frame_id: int) -> list[Scope]:
        """Return the groups of variables of a frame."""
        body = await self._ask("scopes", {"frameId": frame_id})
        return [
            Scope(
                model.text(raw, "name"),
                model.integer(raw, "variablesReference"),
                raw.get("expensive") is True,
            )
            for raw in model.objects(body, "scopes")
        ]

    async def variables(self, variables_reference: int) -> list[Variable]:
        """Return the variables behind a reference of a scope, a variable or an evaluation."""
        body = await self._ask("variables", {"variablesReference": variables_reference})
        return [
            Variable(
                model.text(raw, "name"),
                model.text(raw, "value"),
                model.text(raw, "type"),
                model.integer(raw, "variablesReference"),
                model.text(raw, "evaluateName"),
            )
            for raw in model.objects(body, "variables")
        ]

    async def local_variables(self, frame_id: int) -> dict[str, Variable]:
        """Return the local variables of a frame by name."""
        scopes = await self.scopes(frame_id)
        if not scopes:
            return {}
        found = await self.variables(scopes[0].variables_reference)
        return {variable.name: variable for variable in found}

    async def set_variable(self, variables_reference: int, name: str, value: str) -> Variable:
        """Assign the value of an expression to a variable, and return what it is now."""
        body = await self._ask(
            "setVariable",
            {"variablesReference": variables_reference, "name": name, "value": value},
        )
        return Variable(
            name,
            model.text(body, "value"),
            model.text(body, "type"),
            model.integer(body, "variablesReference"),
        )

    async def evaluate(
        self, expression: str, frame_id: int | None = None, context: str = "repl"
    ) -> Evaluation:
        """Evaluate in a frame, or, without one, globally and also while the program runs.

        The context `clipboard` returns long texts uncut, if a frame is given.

        Raises:
            RequestFailed: the expression raised; `text` has the exception.
        """
        arguments: JsonObject = {"expression": expression, "context": context}
        if frame_id is not None:
            arguments["frameId"] = frame_id
        body = await self._ask("evaluate", arguments)
        return Evaluation(
            model.text(body, "result"),
            model.text(body, "type"),
            model.integer(body, "variablesReference"),
        )

    async def exception_info(self, thread_id: int | None = None) -> ExceptionInfo:
        """Return the exception at which the thread stopped."""
        body = await self._ask("exceptionInfo", {"threadId": self._thread(thread_id)})
        details = body.get("details")
        stack = model.text(details, "stackTrace") if isinstance(details, dict) else ""
        return ExceptionInfo(
            model.text(body, "exceptionId"),
            model.text(body, "description"),
            model.text(body, "breakMode"),
            stack,
        )

    async def async_tasks(self) -> list[TaskInfo]:
        """Return all asyncio tasks with the lines at which they are parked, stopped or not."""
        from .tasks import fetch_tasks

        return await fetch_tasks(self)

    async def awaiting_chain(self, frame_id: int | None = None) -> list[TaskInfo]:
        """Return the task of the stopped frame, who awaits it, who awaits that one, and so on."""
        from .tasks import fetch_awaiting_chain

        return await fetch_awaiting_chain(self, frame_id)

    async def run_until_task_resumes(
        self, task: TaskInfo | str, timeout_s: float | None = None
    ) -> Stop:
        """Run on, and stop when that task (name or entry of `async_tasks`) executes its next line.

        Raises:
            DebugTimeout: it did not run in time; the temporary breakpoints are gone.
        """
        from .tasks import run_until_resumed

        return await run_until_resumed(self, task, timeout_s)

    # -- moving --------------------------------------------------------------------------------

    async def pause(self, thread_id: int | None = None) -> None:
        """Ask for a stop at the next line of user code, of any thread or of one.

        Returns when the request is armed. An idle loop reaches no such line: use `wait_stopped`
        with a timeout, or look without stopping (`stack_trace`, `async_tasks`).
        """
        if thread_id is None:
            threads = await self.threads()
            if not threads:
                raise NotStopped("the program shows no thread that could be paused")
            thread_id = threads[0].id
        await self._ask("pause", {"threadId": thread_id})

    async def continue_(self, thread_id: int | None = None) -> None:
        """Let the program run on, all threads of it; nothing happens if it runs already.

        Raises:
            ResumeLost: the debugger does not answer; the process may be suspended for good.
        """
        async with self._resuming:
            target = thread_id if thread_id is not None else self._stopped_thread()
            if target is None:
                return
            await self._settle()
            self._stops.clear()
            try:
                await self._ask("continue", {"threadId": target})
            except DebugTimeout as exc:
                raise ResumeLost(f"no answer to continue of thread {target}") from exc

    async def step_over(self, thread_id: int | None = None, timeout_s: float | None = None) -> Stop:
        """Run to the next line of the same function, and return that stop.

        At an `await` that suspends, the loop runs on: the stop is where the thread goes next in
        user code. `run_until_task_resumes` follows the task instead.
        """
        return await self._step("next", thread_id, timeout_s)

    async def step_in(self, thread_id: int | None = None, timeout_s: float | None = None) -> Stop:
        """Run to the next line, in a called function if there is one."""
        return await self._step("stepIn", thread_id, timeout_s)

    async def step_out(self, thread_id: int | None = None, timeout_s: float | None = None) -> Stop:
        """Run to the line after the call of this function."""
        return await self._step("stepOut", thread_id, timeout_s)

    async def begin_step(self, command: str, thread_id: int | None = None) -> None:
        """Start a step (`next`, `stepIn`, `stepOut`) without waiting for its end."""
        target = self._thread(thread_id)
        await self._settle()
        self._stops.clear()
        await self._ask(command, {"threadId": target})

    async def _step(self, command: str, thread_id: int | None, timeout_s: float | None) -> Stop:
        with self.subscribe("stopped") as stops:
            await self.begin_step(command, thread_id)
            limit = self.options.request_timeout_s if timeout_s is None else timeout_s
            try:
                async with asyncio.timeout(limit):
                    await stops.get()
            except TimeoutError as exc:
                raise DebugTimeout(f"no stop after {command} within {limit} s") from exc
        stop = self.stop
        if stop is None:
            raise NotStopped(f"the program ran on after {command}")
        self._taken_serial = stop.serial
        return stop

    async def _settle(self) -> None:
        # pydevd loses a `continue` that arrives while another thread is still on its way into the
        # stop, and the process stays suspended (debugpy 1.8.22). A thread that is blocked in C
        # never gets there, so there is a limit (100 ms were enough in all runs).
        while time.monotonic() < self._stopped_at + _SETTLE_S:
            with suppress(RequestFailed):
                answer = await self._ask("evaluate", {"expression": _ASLEEP, "context": "repl"})
                if model.text(answer, "result") == "True":
                    return
            await asyncio.sleep(_SETTLE_POLL_S)

    def _stopped_thread(self) -> int | None:
        stop = self.stop
        return stop.thread_id if stop is not None else None

    def _thread(self, thread_id: int | None) -> int:
        found = thread_id if thread_id is not None else self._stopped_thread()
        if found is None:
            raise NotStopped("no thread is stopped; name one by its id")
        return found

    def _live(self) -> Transport:
        if self._transport is None:
            raise NotConnected("the client is not connected")
        return self._transport

    async def _ask(self, command: str, arguments: JsonObject | None = None) -> JsonObject:
        return await self._live().request(command, arguments, self.options.request_timeout_s)

    async def request(self, command: str, arguments: JsonObject | None = None) -> JsonObject:
        """Send any other request of the protocol and return the body of its answer."""
        return await self._ask(command, arguments)


_BREAK_MODES: Final = {
    "raised": "always",
    "uncaught": "unhandled",
    "userUnhandled": "userUnhandled",
}
_INITIALIZE: Final[JsonObject] = {
    "clientID": "asyncscope",
    "clientName": "asyncscope",
    "adapterID": "debugpy",
    "locale": "en",
    "linesStartAt1": True,
    "columnsStartAt1": True,
    "pathFormat": "path",
    "supportsVariableType": True,
    "supportsRunInTerminalRequest": False,
    "supportsStartDebuggingRequest": False,
}


def _spec(entry: BreakpointSpec | int) -> BreakpointSpec:
    return BreakpointSpec(entry) if isinstance(entry, int) else entry


def _raise_if_refused(attach: asyncio.Future[JsonObject]) -> None:
    """Raise what `attach` was answered with, unless that was a yes."""
    if not attach.done():
        return
    try:
        attach.result()
    except RequestFailed as exc:
        if "already being debugged" in exc.text:
            raise DebuggerBusy(f"another client is attached: {exc.text}") from exc
        raise


async def _discard(*futures: asyncio.Future[JsonObject] | asyncio.Future[Event]) -> None:
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)

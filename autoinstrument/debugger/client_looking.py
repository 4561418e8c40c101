"""The part of a debug client that looks: stacks, variables, evaluation, and all tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import model
from .client_connection import ClientConnection
from .model import Evaluation, ExceptionInfo, Scope, StackFrame, Thread, Variable

if TYPE_CHECKING:
    from .dap import JsonObject


class LookingClient(ClientConnection):
    """Reads the debugged process; nothing here moves it."""

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

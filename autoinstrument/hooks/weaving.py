"""Weave observations into library functions without replacing them.

Theory of operation. A wrapper around a library's function is visible: a frame in
tracebacks, another type, one coroutine more in the await chain. Here the function object
stays the library's own and only its code changes: the function's source is read again,
calls to a *port* are put in at named statements, the result is compiled under the same
file name, line numbers and qualified name, and set as `__code__`. Tracebacks, `repr`,
pickling, `inspect` and the await chain stay as they were; the port's methods see the
function's own locals. `unweave` puts the original code back.

A port is an object of ours whose methods are the observations. The woven code reaches it
as a constant of the code object, so that no name of ours appears in the library's module.
Where a call is too dear, an edit may do the work in the library's own frame: a name such as
`port_live` in it stands for what the port's `inline` table has under `live`.

The source must be the one that was compiled: names, arguments and constants of the
recompiled original have to match the code object, and every anchor has to be found;
otherwise the function is left alone and `WeaveError` says why.
"""

import ast
import linecache
import opcode
import warnings
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any, Final, Literal, TypeAlias

from autoinstrument.hooks.woven_cache import WovenCache

_PORT = "\0asyncscope port\0"  # a constant that no library contains
_FUTURE_FLAGS = 0x1FF0000  # the `from __future__` bits of co_flags
_KIND_FLAGS = 0x2AC  # *args, **kwargs, generator, coroutine, asynchronous generator

_OPTIONAL = frozenset(
    opcode.opmap[name]
    for name in ("CACHE", "PUSH_NULL", "EXTENDED_ARG", "PRECALL", "NOP")
    if name in opcode.opmap
)
_ATTRIBUTE = frozenset(
    opcode.opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD") if name in opcode.opmap
)
_GLOBAL = opcode.opmap["LOAD_GLOBAL"]
_JUMPS = frozenset(opcode.hasjrel) | frozenset(opcode.hasjabs)

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Position: TypeAlias = Literal["entry", "before", "after", "begins", "returns", "result", "leave"]


class WeaveError(Exception):
    """The function has another shape than the one this weaving was written for."""


class Edit:
    """One insertion: `call` (such as `port.held(self)`) at a position of a function.

    `entry` is the start of the body, `before` and `after` are relative to each statement
    whose source starts with `anchor`, `begins` is the start of the block of each such `if`,
    `returns` is before each `return` of the function, `result` puts the call in the place of each
    returned value, which the call receives as `value` and has to return; where it is no single call
    it stands before the `return`, and what is returned is `value` there too. `leave` runs however
    the function is left. `inside` names a nested function.
    """

    __slots__ = ("anchor", "call", "inside", "position")

    def __init__(self, position: Position, call: str, anchor: str = "", inside: str = "") -> None:
        """Describe an insertion."""
        self.position = position
        self.call = call
        self.anchor = anchor
        self.inside = inside


def weave(
    function: FunctionType, port: object, edits: Sequence[Edit], cache: WovenCache | None = None
) -> CodeType:
    """Put the edits into a function and return the code that it had before.

    With a cache, what was verified and woven before is not made again.

    Raises:
        WeaveError: the source is missing, differs, or lacks an anchor. Nothing is changed.
    """
    original = function.__code__
    key = tuple((edit.position, edit.call, edit.anchor, edit.inside) for edit in edits)
    made = cache.get(original, key) if cache is not None else None
    if made is None:
        made = _compile(original, function.__qualname__, edits)
        if cache is not None and not _is_rewritten(original):
            cache.put(original, key, made)
    woven = _bind(made, port)
    if woven.co_freevars != original.co_freevars:
        raise WeaveError(f"{function.__qualname__}: closure variables differ")
    function.__code__ = woven
    return original


def _compile(code: CodeType, qualname: str, edits: Sequence[Edit]) -> CodeType:
    text = _module(code, qualname)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = _build(code, qualname, text)
        shape = _outline if _is_rewritten(code) else _shape
        if shape(plain) != shape(code):
            raise WeaveError(f"{qualname}: the source is not what was compiled")
        tree = _parse(code, text)
        lines = text.split("\n")
        for edit in edits:
            _apply(_definition(code, tree), edit, qualname, lines)
        return _build(code, qualname, tree)


def _module(code: CodeType, qualname: str) -> str:
    """Return the text of a module with the function alone, in its line and its class.

    The class is there for name mangling. The module is never executed, so decorators do no harm.
    """
    text, indented = _source(code)
    if not indented:
        return "\n" * (code.co_firstlineno - 1) + text
    parts = qualname.split(".")
    in_class = len(parts) > 1 and parts[-2] != "<locals>"
    holder = f"class {parts[-2]}:\n" if in_class else "if 1:\n"
    return "\n" * (code.co_firstlineno - 2) + holder + text


def _parse(code: CodeType, text: str) -> ast.Module:
    flags = code.co_flags & _FUTURE_FLAGS | ast.PyCF_ONLY_AST
    tree = compile(text, code.co_filename, "exec", flags=flags, dont_inherit=True)
    if not isinstance(tree, ast.Module):
        raise WeaveError(f"{code.co_qualname}: no module")
    return tree


def _definition(code: CodeType, tree: ast.Module) -> Definition:
    found = tree.body[0]
    if isinstance(found, ast.ClassDef | ast.If):
        found = found.body[0]
    if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        raise WeaveError(f"{code.co_qualname}: no function at line {code.co_firstlineno}")
    return found


def _source(code: CodeType) -> tuple[str, bool]:
    """Return the function's lines and whether they are indented."""
    lines = linecache.getlines(code.co_filename)
    first = code.co_firstlineno - 1
    if first >= len(lines):
        raise WeaveError(f"{code.co_qualname}: no source")
    margin = _indent(lines[first])
    last = max(line for _, _, line in code.co_lines() if line is not None)
    end = max(last, _last_line(code))
    while end < len(lines):
        line = lines[end]
        if line.strip() and _indent(line) <= margin:
            break
        end += 1
    return "".join(lines[first:end]), margin > 0


def _last_line(code: CodeType) -> int:
    nested = [const for const in code.co_consts if isinstance(const, CodeType)]
    own = max((line for _, _, line in code.co_lines() if line is not None), default=0)
    return max([own, *(_last_line(const) for const in nested)])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _build(code: CodeType, qualname: str, module: str | ast.Module) -> CodeType:
    """Compile a module with the function in it and return the function's code."""
    flags = code.co_flags & _FUTURE_FLAGS
    compiled = compile(module, code.co_filename, "exec", flags=flags, dont_inherit=True)
    for found in _functions(compiled):
        if found.co_name == code.co_name:
            return found.replace(co_qualname=code.co_qualname)
    raise WeaveError(f"{qualname}: no function at line {code.co_firstlineno}")


def _functions(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _functions(const)


def _shape(code: CodeType) -> tuple[Any, ...]:
    """Return what has to be equal for two code objects to come from one source."""
    constants = tuple(
        _shape(const) if isinstance(const, CodeType) else repr(const) for const in code.co_consts
    )
    return (
        code.co_name,
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_varnames,
        code.co_freevars,
        code.co_flags & _KIND_FLAGS,
        code.co_names,
        constants,
        _steps(code),
    )


def _steps(code: CodeType) -> list[tuple[int, int]]:
    """Return the instructions without what depends on how a call of an attribute is compiled.

    The compiler knows which names a module imports and calls `module.function()` by other
    instructions than `object.method()`; a function compiled alone cannot know all of them.
    """
    found = []
    for operation, argument in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        if operation in _OPTIONAL:
            continue
        if operation in _ATTRIBUTE:
            found.append((-1, 0))
        elif operation in _JUMPS:
            found.append((operation, 0))
        else:  # the lowest bit of LOAD_GLOBAL says whether a call follows
            found.append((operation, argument >> 1 if operation == _GLOBAL else argument))
    return found


def _is_rewritten(code: CodeType) -> bool:
    """Whether pytest has rewritten the function's `assert` statements.

    anyio brings a pytest plugin, and pytest rewrites the packages of its plugins. The woven
    function has the plain statements of the source again.
    """
    return any(name.startswith("@py") for name in code.co_names)


def _outline(code: CodeType) -> tuple[Any, ...]:
    """Return what rewritten assertions leave as it was."""
    return (
        code.co_name,
        code.co_argcount,
        code.co_kwonlyargcount,
        [name for name in code.co_varnames if not name.startswith("@py")],
        code.co_freevars,
        code.co_flags & _KIND_FLAGS,
    )


def _apply(definition: Definition, edit: Edit, qualname: str, lines: Sequence[str]) -> None:
    target = _nested(definition, edit.inside) if edit.inside else definition
    if target is None:
        raise WeaveError(f"{qualname}: no function {edit.inside} inside")
    if edit.position == "entry":
        _insert_at_entry(target, edit.call)
    elif edit.position == "leave":
        _insert_leave(target, edit.call)
    else:
        inserter = _Inserter(edit, lines)
        target.body = inserter.block(target.body)
        if not inserter.hits:
            raise WeaveError(f"{qualname}: no statement starts with {edit.anchor or 'return'!r}")


def _nested(definition: Definition, name: str) -> Definition | None:
    for node in ast.walk(definition):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    return None


def _insert_at_entry(target: Definition, call: str) -> None:
    skip = int(ast.get_docstring(target, clean=False) is not None)
    anchor = target.body[skip] if skip < len(target.body) else target
    target.body[skip:skip] = _statements(call, anchor)


def _insert_leave(target: Definition, call: str) -> None:
    skip = int(ast.get_docstring(target, clean=False) is not None)
    body = target.body[skip:]
    guarded = ast.Try(body=body, handlers=[], orelse=[], finalbody=_statements(call, body[-1]))
    target.body[skip:] = [ast.copy_location(guarded, body[0])]


def _statements(call: str, where: ast.AST) -> list[ast.stmt]:
    """Parse a call and give it the line of a statement of the function."""
    body = ast.parse(call).body
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.expr | ast.stmt | ast.excepthandler):
                ast.copy_location(node, where)
                node.end_lineno = node.lineno
    return [_PortNames().visit(statement) for statement in body]


def _with_result(call: str, where: ast.Return) -> list[ast.stmt]:
    """Return the statements that replace a `return`: with the call around its value, or before."""
    statements = _statements(call, where)
    if where.value is None:
        raise WeaveError(f"cannot give the returned value to {call}")
    if len(statements) == 1 and isinstance(statements[0], ast.Expr):
        where.value = _Value(where.value).visit(statements[0].value)
        return [where]
    if isinstance(where.value, ast.Name):
        return [*(_Value(where.value).visit(statement) for statement in statements), where]
    first, *others = _statements(_RETURNED, where)
    if not isinstance(first, ast.Assign) or not isinstance(first.targets[0], ast.Name):
        raise WeaveError(_RETURNED)
    first.value = where.value
    name = ast.copy_location(ast.Name(first.targets[0].id, ast.Load()), where)
    return [first, *(_Value(name).visit(statement) for statement in statements), *others]


_RETURNED: Final = """
asyncscope_value = None
try:
    return asyncscope_value
finally:
    del asyncscope_value  # the frame may live on in a traceback
"""


class _Value(ast.NodeTransformer):
    """Put an expression in the place of the name `value`."""

    def __init__(self, value: ast.expr) -> None:
        self._value = value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._value if node.id == "value" else node


class _PortNames(ast.NodeTransformer):
    """Make `port` and `port_...` constants; never test their truth, the compiler knows it."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "port":
            return ast.copy_location(ast.Constant(value=_PORT), node)
        if node.id.startswith("port_"):
            value = _PORT + node.id.removeprefix("port_")
            return ast.copy_location(ast.Constant(value=value), node)
        return node


class _Inserter:
    """Insert a call around matching statements, at every depth but not in nested functions."""

    def __init__(self, edit: Edit, lines: Sequence[str]) -> None:
        self.edit = edit
        self.hits = 0
        self._lines = lines
        self._word = _first_word(edit.anchor)

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in body:
            self._descend(statement)
            if not self._matches(statement):
                result.append(statement)
                continue
            self.hits += 1
            if self.edit.position == "result" and isinstance(statement, ast.Return):
                result += _with_result(self.edit.call, statement)
                continue
            if self.edit.position == "begins" and isinstance(statement, ast.If):
                statement.body[:0] = _statements(self.edit.call, statement.body[0])
                result.append(statement)
                continue
            extra = _statements(self.edit.call, statement)
            after = self.edit.position == "after"
            result.extend([statement, *extra] if after else [*extra, statement])
        return result

    def _matches(self, statement: ast.stmt) -> bool:
        if self.edit.position in {"returns", "result"}:
            return isinstance(statement, ast.Return)
        return self._may_match(statement) and ast.unparse(statement).startswith(self.edit.anchor)

    def _may_match(self, statement: ast.stmt) -> bool:
        """Whether the source agrees so far; to unparse every statement would take long."""
        text = self._lines[statement.lineno - 1].encode()[statement.col_offset :].decode()
        return text.startswith((self._word, "(", "@"))

    def _descend(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(statement, name, None)
            if isinstance(inner, list) and inner:
                setattr(statement, name, self.block(inner))
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            part.body = self.block(part.body)


def _first_word(anchor: str) -> str:
    for at, letter in enumerate(anchor):
        if not (letter.isidentifier() or letter.isdigit() or letter == "."):
            return anchor[:at]
    return anchor


def _bind(code: CodeType, port: object) -> CodeType:
    """Put the port in the place of the constants that stand for it, nested code included."""
    inline: dict[str, object] = getattr(port, "inline", {})

    def bound(const: object) -> object:
        if isinstance(const, CodeType):
            return _bind(const, port)
        if not isinstance(const, str) or not const.startswith(_PORT):
            return const
        return inline[const.removeprefix(_PORT)] if const != _PORT else port

    return code.replace(co_consts=tuple(bound(const) for const in code.co_consts))

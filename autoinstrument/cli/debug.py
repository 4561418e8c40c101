"""`asyncscope debug PID`: open a debug port in a watched process that runs already.

The request is a file in a folder that only the owner of both processes can enter; the agent's
thread there finds it within a second (see `on_demand.py`).
"""

import argparse
import contextlib
import os
import secrets
import sys
import time
from typing import Any, Final

from autoinstrument import registry

SUMMARY = "Open a debug port in a running watched process, or close it"
TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.02
_FIRST_WITHOUT_COST: Final = (3, 12)


class RefusedError(Exception):
    """The request cannot be made, or was answered with a no; the text is for the user."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "Whoever connects to the port can run code as that process; it listens on loopback only. "
        "Exit status: 0 if it is open (or closed), 1 with the reason if not."
    )
    parser.add_argument("pid", type=int, metavar="PID", help="as `asyncscope ps` lists it")
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="the port (default: a free one)"
    )
    parser.add_argument(
        "--stop", action="store_true", help="close the port and end what it costs the process"
    )


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Ask, and print the answer."""
    try:
        entry = find(options.pid)
        action = "stop" if options.stop else "start"
        answer = ask(entry, {"do": action, "address": str(options.port)})
    except RefusedError as exc:
        print(f"asyncscope debug: {exc}", file=sys.stderr)
        return 1
    address = f"{answer.get('host')}:{answer.get('port')}"
    if options.stop:
        print(f"process {options.pid} listens on {address} no more")
        return 0
    again = "already " if answer.get("before") else ""
    print(f"process {options.pid} {again}listens on {address}")
    if _version(entry) < _FIRST_WITHOUT_COST:
        print(
            f"Python {entry.get('python')} runs traced code 5 to 10 times slower while the port "
            f"is open; `asyncscope debug {options.pid} --stop` ends that"
        )
    return 0


def find(pid: int) -> dict[str, Any]:
    """Return the entry of a watched process.

    Raises:
        RefusedError: there is none; with the likely reason.
    """
    for entry in registry.processes():
        if entry["pid"] == pid and entry.get("watched"):
            return entry
    raise RefusedError(f"{_why_missing(pid)}; `asyncscope ps` lists those that can be asked")


def _why_missing(pid: int) -> str:
    if pid <= 0 or not registry.is_alive(pid):
        return f"there is no process {pid}"
    owner = _owner(pid)
    if owner is not None and hasattr(os, "geteuid") and owner != os.geteuid():
        return f"process {pid} belongs to user {owner}, who alone can ask it"
    return f"process {pid} is not watched by asyncscope, or has not run an event loop yet"


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def ask(
    entry: dict[str, Any], request: dict[str, Any], timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Hand a request to a process and return its answer.

    Raises:
        RefusedError: the process said no, or nothing in time; the request is taken back then.
    """
    number = secrets.token_hex(8)
    path = registry.request_path(entry["folder"], entry["pid"])
    try:
        registry.write(
            path, {**request, "pid": entry["pid"], "number": number, "asked": time.time()}
        )
    except OSError as exc:
        raise RefusedError(f"the request cannot be written to {path}: {exc.strerror}") from exc
    try:
        answer = _answer(entry, number, timeout_s)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
    if answer.get("error"):
        raise RefusedError(f"process {entry['pid']} says: {answer['error']}")
    return answer


def _answer(entry: dict[str, Any], number: str, timeout_s: float) -> dict[str, Any]:
    path = os.path.join(entry["folder"], f"{entry['pid']}.json")
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        answer = (registry.read(path) or {}).get("answer") or {}
        if answer.get("number") == number:
            return dict(answer)
        if not registry.is_same(entry):
            raise RefusedError(f"process {entry['pid']} has ended")
        time.sleep(_POLL_S)
    raise RefusedError(
        f"process {entry['pid']} did not answer within {timeout_s:g} s: it is suspended, or in a "
        "compiled call that keeps the interpreter's lock"
    )


def _version(entry: dict[str, Any]) -> tuple[int, ...]:
    numbers = str(entry.get("python", "")).split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())

"""The command line without what may be secret, for reports and recordings.

By pattern, and the other way round than usual: an argument is kept only when it looks like
something harmless. Everything else becomes `[redacted]`.
"""

import os
import re
from collections.abc import Sequence
from typing import Final

REDACTED: Final = "[redacted]"
_MOST_ARGUMENTS: Final = 100

# fmt: off
_SECRETS: Final = (
    "pass", "pwd", "secret", "token", "key", "auth", "cred", "dsn", "cookie", "session", "bearer",
    "private", "salt", "signature", "otp",
)
# fmt: on

# Compiled when a command line has such a word: that takes a millisecond.
_OPTION: Final = r"(--?[A-Za-z][A-Za-z_-]{0,39}|--|-)(?:=(.*))?"
_VARIABLE: Final = r"([A-Za-z_][A-Za-z_.]{0,39})=(.*)"
_HARMLESS: Final = (
    r"\d{1,5}(\.\d{1,3})?"  # a number, a port
    r"|\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?"  # an address
    r"|(localhost|\*):\d{1,5}"
    r"|[A-Za-z]{1,20}"  # a command, a level
    r"|[a-z_]{1,30}(\.[a-z_]{1,30}){0,5}(:[A-Za-z_]{1,30})?(\(\))?"  # module, module:app
)


def redacted(argv: Sequence[object]) -> list[str]:
    """Return a command line in which only what looks harmless is readable.

    The program's own name stays, and so do names of options, small numbers, addresses, plain
    words, modules and files that exist; whatever follows an option with a telling name goes.
    """
    found: list[str] = []
    secret_next = False
    for position, word in enumerate(argv[:_MOST_ARGUMENTS]):
        text = word if isinstance(word, str) else REDACTED
        if position == 0:
            found.append(text)
            continue
        shown, secret_next = _shown(text, after_secret=secret_next)
        found.append(shown)
    if len(argv) > _MOST_ARGUMENTS:
        found.append(f"... {len(argv) - _MOST_ARGUMENTS} more")
    return found


def _shown(word: str, *, after_secret: bool) -> tuple[str, bool]:
    """Return what is shown of a word, and whether the next one is its secret value."""
    named = None
    if word.startswith("-"):
        named = re.fullmatch(_OPTION, word, re.DOTALL)
    if named is None and "=" in word and not after_secret:
        named = re.fullmatch(_VARIABLE, word, re.DOTALL)
    if named is None:
        return (REDACTED if after_secret else _value(word)), False
    name, value = named[1], named[2]
    secret = _is_secret(name)
    if value is None:
        return name, secret
    return f"{name}={REDACTED if secret else _value(value)}", False


def _is_secret(name: str) -> bool:
    lower = name.lower()
    return lower.endswith("pin") or any(part in lower for part in _SECRETS)


def _value(text: str) -> str:
    if not text or _is_file(text) or re.fullmatch(_HARMLESS, text):
        return text
    return REDACTED


def _is_file(text: str) -> bool:
    try:
        return os.path.exists(text)
    except (OSError, ValueError):  # too long, a null byte
        return False

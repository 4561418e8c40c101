"""The part of YAML that a configuration file needs, so that no YAML package is needed.

Mappings and lists by indentation, texts, quoted or not, numbers, `true`/`false`, `null`, `[a, b]`
and `{}`, comments. Anything else (anchors, tags, several documents, block texts) is refused with
its line, never read as something else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from .errors import ConfigError

_KEY: Final = re.compile(r"""(?P<key>"[^"]*"|'[^']*'|[\w.-]+)\s*:(?:\s+(?P<value>.*))?$""")
_INT: Final = re.compile(r"[-+]?\d+")
_FLOAT: Final = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
_WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}
_REFUSED: Final = ("&", "*", "!", "|", ">", "%", "@", "`", "? ")


@dataclass(slots=True)
class _Line:
    number: int
    indent: int
    text: str


def parse_yaml(text: str, name: str = "configuration") -> dict[str, Any]:
    """Return the mapping that a file holds.

    Raises:
        ConfigError: with the line that is not understood.
    """
    lines = _lines(text, name)
    if not lines:
        return {}
    parser = _Parser(lines, name)
    content = parser.block(lines[0].indent)
    if parser.at < len(lines):
        raise parser.error("unexpected indentation")
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: the file must hold a mapping")
    return content


def _lines(text: str, name: str) -> list[_Line]:
    found: list[_Line] = []
    for number, raw in enumerate(text.splitlines(), 1):
        content = _without_comment(raw).rstrip()
        if not content.strip() or (content == "---" and not found):
            continue
        stripped = content.lstrip(" ")
        if stripped.startswith("\t"):
            raise ConfigError(f"{name}, line {number}: indent with spaces, not with tabs")
        found.append(_Line(number, len(content) - len(stripped), stripped))
    return found


def _without_comment(line: str) -> str:
    quote = ""
    for at, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and (at == 0 or line[at - 1] in " [,{:-"):
            quote = letter
        elif letter == "#" and (at == 0 or line[at - 1] in " \t"):
            return line[:at]
    return line


class _Parser:
    def __init__(self, lines: list[_Line], name: str) -> None:
        self.lines = lines
        self.at = 0
        self.name = name

    def error(self, what: str) -> ConfigError:
        line = self.lines[min(self.at, len(self.lines) - 1)]
        return ConfigError(f"{self.name}, line {line.number}: {what}: {line.text!r}")

    def block(self, indent: int) -> Any:
        if self.lines[self.at].text.startswith("- ") or self.lines[self.at].text == "-":
            return self.sequence(indent)
        return self.mapping(indent)

    def mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.at < len(self.lines) and self.lines[self.at].indent == indent:
            match = _KEY.match(self.lines[self.at].text)
            if match is None:
                raise self.error("expected 'key: value'")
            key = match["key"].strip("\"'")
            if key in found:
                raise self.error(f"the key {key!r} is there twice")
            found[key] = self.value_after(match["value"] or "", indent)
        return found

    def value_after(self, text: str, indent: int) -> Any:
        if text:
            value = self.scalar(text)
            self.at += 1
            return value
        self.at += 1
        if self.at == len(self.lines):
            return None
        following = self.lines[self.at]
        # A list may stand at the same depth as its key.
        if following.indent > indent or (
            following.indent == indent and following.text.startswith("- ")
        ):
            return self.block(following.indent)
        return None

    def sequence(self, indent: int) -> list[Any]:
        found: list[Any] = []
        while self.at < len(self.lines) and self.lines[self.at].indent == indent:
            line = self.lines[self.at]
            if not line.text.startswith("- "):
                break
            found.append(self.scalar(line.text[2:].strip()))
            self.at += 1
        return found

    def scalar(self, text: str) -> Any:
        if text[0] in "\"'":
            return self.quoted(text)
        if text.startswith("["):
            return self.inline_list(text)
        if text == "{}":
            return {}
        if text.startswith(("{", *_REFUSED)):
            raise self.error("this form of YAML is not supported here")
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _INT.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text

    def quoted(self, text: str) -> str:
        if text[-1] != text[0] or len(text) == 1:
            raise self.error("the quotation has no end")
        if text[0] == "'":
            return text[1:-1].replace("''", "'")
        try:
            return str(json.loads(text))
        except ValueError as exc:
            raise self.error("the quotation is not understood") from exc

    def inline_list(self, text: str) -> list[Any]:
        if not text.endswith("]"):
            raise self.error("the list has no end")
        inner = text[1:-1].strip()
        items = re.findall(r"""\s*("[^"]*"|'[^']*'|[^,]+?)\s*(?:,|$)""", inner)
        return [self.scalar(item) for item in items]

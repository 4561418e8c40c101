"""`asyncscope explain KIND`: print a section of the page on findings in the terminal."""

import argparse
import difflib
import re
import shutil
import sys
import textwrap
from importlib.resources import files
from pathlib import Path

SUMMARY = "Explain a kind of finding: what it means, why it happens, what to do"
WIDEST = 96
BULLET = r"\s*(?:[-*]|\d+\.) "
GLUE = "\0"  # a blank at which no line is broken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the kind."""
    parser.add_argument(
        "kind",
        nargs="?",
        default="list",
        metavar="KIND",
        help="the word in brackets at the end of a finding; `list` (the default) names them all",
    )


def run(options: argparse.Namespace) -> int:
    """Print the section of a kind, or the list of kinds."""
    sections = read_sections()
    kind = options.kind.strip("[]`").replace("-", "_")
    if kind == "list":
        width = max(map(len, sections))
        for name, text in sections.items():
            print(f"{name:{width}}  {_first_sentence(text)}")
        return 0
    if kind not in sections:
        print(f"asyncscope explain: there is no kind {kind!r}", file=sys.stderr)
        near = difflib.get_close_matches(kind, sections) or ["list"]
        print(f"Try: asyncscope explain {near[0]}", file=sys.stderr)
        return 2
    width = min(shutil.get_terminal_size().columns, WIDEST)
    print(rendered(f"## {kind}\n{sections[kind]}", width))
    return 0


def read_sections() -> dict[str, str]:
    """Return the text below each kind's heading, by kind, in the order of the page."""
    parts = re.split(r"^## `(\w+)`$", _page(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _page() -> str:
    """Read the page from the installed package, or from the checkout beside it."""
    package = files("autoinstrument")
    shipped = package / "findings.md"
    if shipped.is_file():
        return shipped.read_text(encoding="utf-8")
    return (Path(str(package)).parent / "docs" / "findings.md").read_text(encoding="utf-8")


def _first_sentence(section: str) -> str:
    paragraph = section.partition("### What it means")[2].strip().partition("\n\n")[0]
    sentence = re.split(r"(?<=\.)\s", " ".join(paragraph.split()), maxsplit=1)[0]
    return textwrap.shorten(sentence, WIDEST, placeholder=" ...")


def rendered(markdown: str, width: int) -> str:
    """Return Markdown as plain text: paragraphs wrapped, code indented, marks taken away."""
    lines: list[str] = []
    for number, part in enumerate(re.split(r"^```\w*\n", markdown, flags=re.MULTILINE)):
        if number % 2:  # between two fences
            lines += [textwrap.indent(part.rstrip(), "    "), ""]
        else:
            for block in re.split(r"\n(?:[ \t]*\n)+", part.strip("\n")):
                lines += [*_block(block, width), ""]
    return "\n".join(lines).rstrip()


def _block(block: str, width: int) -> list[str]:
    """Return the lines of a heading, a code block, a list or a paragraph."""
    if block.startswith("#"):
        heading, _, rest = block.partition("\n")
        title = heading.lstrip("# ").replace("`", "")
        line = "=" if heading.startswith("## ") else "-"
        return [title, line * len(title), *(_block(rest.strip("\n"), width) if rest else [])]
    if block.startswith("    "):
        return block.splitlines()
    lines: list[str] = []
    for item in re.split(rf"\n(?={BULLET})", block):
        mark = re.match(BULLET, item)
        bullet = mark.group().strip() + GLUE if mark else ""
        lines += textwrap.wrap(
            bullet + _without_marks(item[mark.end() :] if mark else item),
            width,
            subsequent_indent=" " * len(bullet),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return [line.replace(GLUE, " ") for line in lines]


def _without_marks(text: str) -> str:
    text = re.sub(r"\[([^]]+)\]\((http[^)]+)\)", r"\1 (\2)", " ".join(text.split()))
    return text.replace("**", "")

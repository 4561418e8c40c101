"""Instructions of a region, counted by callgrind: figures without noise, one round is enough.

The measured process loads a small library that tells callgrind where the region begins and ends.
It is compiled once with the C compiler of the machine and valgrind's headers. Threads are counted
apart, since under valgrind everything takes fifty times as long while the agent's thread looks
each 50 ms: only the thread that ran the region is compared.
"""

import re
import shutil
import subprocess
from pathlib import Path

from .environments import CACHE

_SOURCE = """
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void end(const char *name) { CALLGRIND_DUMP_STATS_AT(name); CALLGRIND_STOP_INSTRUMENTATION; }
"""


def compile_counter() -> Path:
    """Return the library's path.

    Raises:
        RuntimeError: there is no valgrind, no C compiler, or no header of valgrind.
    """
    compiler = shutil.which("cc")
    if compiler is None or shutil.which("valgrind") is None:
        raise RuntimeError("counting instructions needs valgrind and a C compiler")
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    source, library = CACHE / "counter.c", CACHE / "counter.so"
    source.write_text(_SOURCE)
    words: list[str | Path] = [compiler, "-O2", "-shared", "-fPIC", source, "-o", library]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"the counter does not compile: {done.stderr.strip()[:300]}")
    return library


def command(folder: Path, *, whole: bool = False) -> list[str]:
    """Return the words to put before a Python command line; `whole` counts from its start."""
    return [
        *("valgrind", "-q", "--tool=callgrind", "--separate-threads=yes"),
        f"--instr-atstart={'yes' if whole else 'no'}",
        f"--callgrind-out-file={folder / 'callgrind'}",
    ]


def read_whole(folder: Path) -> int:
    """Return the instructions of a whole process, all threads."""
    found = 0
    for path in folder.glob("callgrind*"):
        total = re.search(
            r"^(?:totals|summary): (\d+)", path.read_text(errors="replace"), re.MULTILINE
        )
        found += int(total[1]) if total else 0
    return found


def read(folder: Path) -> dict[str, tuple[int, int]]:
    """Return for each region the instructions of the first thread and of all others."""
    counts: dict[str, tuple[int, int]] = {}
    for path in sorted(folder.glob("callgrind*")):
        text = path.read_text(errors="replace")
        region = re.search(r"^desc: Trigger: Client Request: (\S+)", text, re.MULTILINE)
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        thread = re.search(r"^thread: (\d+)", text, re.MULTILINE)
        if region is None or total is None:
            continue
        first, others = counts.get(region[1], (0, 0))
        if thread is None or thread[1] == "1":
            first += int(total[1])
        else:
            others += int(total[1])
        counts[region[1]] = first, others
    return counts

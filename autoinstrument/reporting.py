"""What the agent leaves at the end: the report, the counters, and the summary on stderr."""

import os
import sys

from autoinstrument._boot.say import put
from autoinstrument.config.schema import Settings
from autoinstrument.findings import Finding

_getpid = os.getpid  # bound before a program replaces it


def own_path(folder: str, path: str) -> str:
    """Return a path below a folder, with the pid in it for processes below the first one."""
    path = os.path.join(folder, path)
    return path if _is_first_process() else f"{path}.{_getpid()}.json"


def _is_first_process() -> bool:
    """Whether no process above this one reports, nor others beside it: a worker is never first.

    Those above a worker may never have imported asyncio, and then have said nothing.
    """
    if os.environ.get("ASYNCSCOPE_ROOT_PID") != str(_getpid()):
        return False
    process = sys.modules.get("multiprocessing.process")
    return process is None or process.parent_process() is None


def write_files(
    settings: Settings,
    folder: str,
    findings: list[Finding],
    statistics: dict[str, dict[str, int]],
    times: tuple[float, float],
) -> list[str]:
    """Write what `ASYNCSCOPE_REPORT` and `ASYNCSCOPE_STATS_FILE` ask for.

    Args:
        settings: name the files.
        folder: what their paths start from.
        findings: all of the process.
        statistics: counts by tracker.
        times: when the agent was started, and now, in seconds since the epoch.

    Returns:
        Lines for the summary: what was written, or why it could not be.
    """
    if not (settings.report or settings.stats_file):
        return []
    from autoinstrument.export import report

    notes = []
    if settings.report:
        path = own_path(folder, settings.report)
        problem = report.write(path, report.report(findings, statistics, *times))
        notes.append(f"the report {problem}" if problem else f"report written to {path}")
    if settings.stats_file:
        tasks = statistics["tasks"]
        counters = {
            "events": sum(sum(group.values()) for group in statistics.values()),
            "create": tasks["created"],
            "done": tasks["ended"],
            **{
                f"{group}_{name}": count
                for group, counts in statistics.items()
                for name, count in counts.items()
            },
        }
        problem = report.write(own_path(folder, settings.stats_file), counters)
        if problem:
            notes.append(f"the counters {problem}")
    return notes


def print_summary(
    findings: list[Finding],
    statistics: dict[str, dict[str, int]],
    seconds: float,
    notes: list[str],
) -> None:
    """Put the summary on stderr; nothing if no loop ran and there is nothing to say."""
    if not (findings or notes or statistics["loops"]["seen"]):
        return
    from autoinstrument.export import console

    try:
        colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    except (OSError, ValueError, AttributeError):
        return  # there is none, or it is closed
    put(console.summary(findings, statistics, seconds, colours=colours, notes=notes))

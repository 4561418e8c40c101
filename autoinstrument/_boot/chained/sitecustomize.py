"""Start the agent where its `.pth` file is not in a site folder.

`asyncscope-instrument` puts this folder on PYTHONPATH when the package can be imported but no
site folder holds `asyncscope_hook.pth` (`pip install --target`, a folder on PYTHONPATH). There
is room for one `sitecustomize` in a process, so this one makes way for the program's own. It
may run under any Python, down to 2.7: a child process can be of another one.
"""

import os
import sys


def _leave_path():
    """Take this folder out of sys.path; the environment keeps it, for child processes."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    return here


def _start():
    """Start the agent if this Python has it; tell whether it does."""
    if sys.version_info < (3, 11):
        return False
    try:
        from autoinstrument._boot import start  # not there in other Pythons
    except ImportError:
        return False
    start()
    return True


def _forget(here):
    """Clean the environment for the children of a Python that has no agent."""
    kept = [e for e in os.environ.get("PYTHONPATH", "").split(os.pathsep) if e != here]
    os.environ["PYTHONPATH"] = os.pathsep.join(kept)
    if not kept:
        del os.environ["PYTHONPATH"]


def _run_next():
    """Import the sitecustomize that this one hides; its errors are the caller's to report."""
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401 - the next one on the path
    except ImportError as exc:
        if getattr(exc, "name", "sitecustomize") != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", ours)


_here = _leave_path()
if not _start():
    _forget(_here)
_run_next()

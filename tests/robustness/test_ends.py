"""Ends of a process beside those of `tests/agent/test_exits.py`: late, hard, and half-way ones."""

import json
import sys
from pathlib import Path

import pytest

from tests.helpers import run_child
from tests.robustness import backends
from tests.robustness.watched import both, others, said, write

pytestmark = pytest.mark.slow

ENDINGS = {
    "tasks pending in a loop that was never closed": """
import asyncio
async def forever():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
async def numbers():
    try:
        yield 1
        yield 2
    finally:
        print("finally")
loop = asyncio.new_event_loop()
tasks = [loop.create_task(forever(), name=f"t{n}") for n in range(3)]
generator = numbers()
loop.run_until_complete(anext(generator))
""",
    "objects that use asyncio while modules are taken down": """
import asyncio
class Late:
    def __del__(self):
        lock = asyncio.Lock()
        loop = asyncio.new_event_loop()
        async def use():
            async with lock, asyncio.timeout(5):
                await asyncio.sleep(0)
            return "used"
        print(loop.run_until_complete(use()))
        loop.close()
asyncio.run(asyncio.sleep(0))
late = Late()
late.cycle = late
""",
    "exit functions on both sides of ours": """
import atexit
def say(text):
    import asyncio
    async def main():
        await asyncio.sleep(0.12)
        print(text)
    atexit.register(print, "registered at exit by", text)
    asyncio.run(main())
atexit.register(say, "the first")
import asyncio
atexit.register(say, "the second")
asyncio.run(asyncio.sleep(0))
""",
    "daemon thread with a running loop": """
import asyncio, threading
up = threading.Event()
async def main():
    up.set()
    await asyncio.sleep(60)
threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
up.wait()
print("up")
""",
    "thread that outlives the main one": """
import asyncio, threading
main = threading.main_thread()
async def late():
    while main.is_alive():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    print("late")
threading.Thread(target=asyncio.run, args=(late(),)).start()
""",
    "handler of SIGTERM in the loop": """
import asyncio, os, signal
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    print("stopped")
asyncio.run(main())
""",
    "handlers of the program": """
import asyncio, faulthandler, gc, signal, sys, threading, warnings
def note(*facts): print(facts[0] if facts else "", flush=True)
sys.excepthook = lambda kind, error, trace: print("hook", kind.__name__)
threading.excepthook = lambda facts: print("thread hook", facts.exc_type.__name__)
sys.unraisablehook = lambda facts: print("unraisable", facts.exc_type.__name__)
signal.signal(signal.SIGUSR1, lambda number, frame: print("signal", frame.f_code.co_name))
gc.callbacks.append(lambda phase, info: None)
async def main():
    signal.raise_signal(signal.SIGUSR1)
    asyncio.get_running_loop().set_exception_handler(lambda loop, facts: print(facts["message"]))
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    def fails(): raise ValueError
    thread = threading.Thread(target=fails); thread.start(); thread.join()
asyncio.run(main())
print(len(gc.callbacks), signal.getsignal(signal.SIGUSR1).__name__)
raise KeyError
""",
    "crash": "import asyncio, os, signal\nasyncio.run(asyncio.sleep(0))\n"
    "os.kill(os.getpid(), signal.SIGSEGV)\n",
    "abort": "import asyncio, os\nasyncio.run(asyncio.sleep(0))\nos.abort()\n",
    "SystemExit in a callback": """
import asyncio, sys
async def main():
    asyncio.get_running_loop().call_soon(sys.exit, 4)
    await asyncio.sleep(5)
asyncio.run(main())
""",
    "last words through a replaced stderr": """
import asyncio, sys
class Loud:
    def __init__(self, inner): self.inner = inner
    def write(self, text): return self.inner.write(text)
    def flush(self): raise ValueError("no")
asyncio.run(asyncio.sleep(0))
sys.stderr = Loud(sys.stderr)
""",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_ends_as_without_the_agent(tmp_path: Path, name: str) -> None:
    plain, child = both(tmp_path, ENDINGS[name])
    assert (child.status, child.out) == (plain.status, plain.out)
    assert others(child.err) == others(plain.err)
    assert [line for line in said(child.err) if "failed" in line] == []
    died = name in {"crash", "abort"}
    assert (tmp_path / "report.json").exists() is not died


@pytest.mark.parametrize(
    "redirection", ["2>/dev/full", "2>&-", ">/dev/null 2>&-", "<&- >/dev/null 2>&-", "2>&1 | true"]
)
def test_stderr_that_takes_nothing_changes_no_exit_status(tmp_path: Path, redirection: str) -> None:
    path = write(tmp_path, "import asyncio\nasyncio.run(asyncio.sleep(0))\nraise SystemExit(5)\n")
    report = tmp_path / "report.json"
    command = f"{sys.executable} {path} {redirection}; echo ${{PIPESTATUS[0]}} >&3"
    env = {
        "ASYNCSCOPE_ENABLE": "1",
        "ASYNCSCOPE_BLOCK_MS": "no number",
        "ASYNCSCOPE_REPORT": str(report),
        "ASYNCSCOPE_EXPORTER": "console",
    }
    shell = f"exec 3>&1; {command}"
    child = run_child("bash", "-c", shell, env=env, cwd=tmp_path, python="")
    assert child.out.strip() == "5"
    assert json.loads(report.read_text())["statistics"]["tasks"]["created"] == 3


ENDS_WHILE_LOADING = """
import asyncio, concurrent.futures.thread, sys, threading, time
from autoinstrument.export import exporters
make, begun = exporters.make_exporters, threading.Event()

def slow(*settings):
    # Loading takes until the main thread has ended, as it may on a busy machine.
    if threading.current_thread() is not threading.main_thread():
        begun.set()
        while not concurrent.futures.thread._shutdown:
            time.sleep(0.001)
    return make(*settings)

exporters.make_exporters = slow
async def main():
    while not begun.is_set():
        await asyncio.sleep(0.01)
asyncio.run(main())
"""


def test_program_that_ends_while_the_exporters_are_loaded_loses_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, ENDS_WHILE_LOADING)
    with backends.backend(backends.sound) as url:
        env = {"ASYNCSCOPE_ENABLE": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        child = run_child(path, env=env, cwd=tmp_path)
    assert child.status == 0
    assert [line for line in said(child.err) if "failed" in line or "not exported" in line] == []

"""Installed early, late, in the middle of an import, and over a fork: in real processes."""

import sys

import pytest

from tests.helpers import ROOT, run_child

pytestmark = pytest.mark.slow

USE = """
import sys

async def use():
    import asyncio, anyio
    from collections import deque
    from autoinstrument import agent
    if agent.current() is not None:
        agent.current().world.scopes.outbox = deque()
    lock = anyio.Lock()
    async with asyncio.timeout(5), asyncio.Lock(), lock:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
    return 7

def told(agent):
    off = [hook["target"] for hook in agent.status()["hooks"] if hook["state"] == "off"]
    world = agent.current().world
    from autoinstrument.records import left_record
    scopes = {left_record(left).kind for left in world.scopes.outbox}
    return off, sorted(scopes), world.resources.statistics()['acquired'], world.tasks.created > 1
"""
SEEN = "7 ([], ['anyio.CancelScope', 'asyncio.timeout'], 2, True)\n"

ORDERS = {
    "nothing imported": """
from autoinstrument import agent
agent.install()
import asyncio
print(asyncio.run(use()), told(agent))
""",
    "asyncio imported": """
import asyncio
from autoinstrument import agent
agent.install()
print(asyncio.run(use()), told(agent))
""",
    "everything imported": """
import asyncio, anyio, uvloop, anyio._backends._asyncio
from autoinstrument import agent
agent.install()
print(asyncio.run(use()), told(agent))
""",
    "after a first loop": """
import asyncio, anyio
asyncio.run(use())
from autoinstrument import agent
agent.install()
print(asyncio.run(use()), told(agent))
""",
    "by the environment": """
import asyncio
from autoinstrument import agent
print(asyncio.run(use()), told(agent))
""",
    "on uvloop": """
from autoinstrument import agent
agent.install()
import asyncio, uvloop
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(runner.run(use()), told(agent))
""",
    "twice": """
from autoinstrument import agent
assert agent.install() is agent.install()
import asyncio
print(asyncio.run(use()), told(agent))
""",
    "anew": """
import asyncio
from autoinstrument import agent
agent.install()
asyncio.run(use())
agent.uninstall()
agent.install()
print(asyncio.run(use()), told(agent))
""",
}


@pytest.mark.parametrize("order", ORDERS)
def test_watches_whenever_it_is_installed(order: str) -> None:
    env = {"ASYNCSCOPE_QUIET": "1"}
    if order == "by the environment":
        env["ASYNCSCOPE_ENABLE"] = "1"
    child = run_child("-W", "error", "-c", USE + ORDERS[order], env=env)
    assert (child.status, child.err) == (0, "")
    late = sys.version_info < (3, 12) and order == "everything imported"  # uvloop is there first
    assert child.out == (SEEN.replace("[]", "['asyncio.Task']") if late else SEEN)


def test_library_that_imports_asyncio_half_way() -> None:
    """anyio's backend is half imported when asyncio, and with it the agent, comes in."""
    code = USE + (
        "import anyio._backends._asyncio\n"
        "import asyncio\nfrom autoinstrument import agent\n"
        "print(asyncio.run(use()), told(agent))\n"
    )
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"}
    child = run_child("-W", "error", "-c", code, env=env)
    assert (child.status, child.out, child.err) == (0, SEEN, "")


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("where", ["after the loop", "inside the loop", "in a thread"])
def test_fork_warns_of_nothing_and_both_sides_go_on(where: str) -> None:
    fork = (
        "def fork():\n    pid = os.fork()\n    if not pid:\n"
        "        agent.current().world.tasks.created and os._exit(5)\n        os._exit(6)\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
    )
    uses = {
        "after the loop": "asyncio.run(asyncio.sleep(0.06)); print(fork())",
        "inside the loop": (
            "async def main():\n    await asyncio.sleep(0.06)\n    print(fork())\n"
            "    await asyncio.sleep(0.06)\nasyncio.run(main())"
        ),
        "in a thread": (
            "async def main():\n    await asyncio.sleep(0.06)\n"
            "    print(await asyncio.to_thread(fork))\nasyncio.run(main())"
        ),
    }
    code = f"import asyncio, os\nfrom autoinstrument import agent\n{fork}{uses[where]}\n"
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"}
    warn = "ignore" if where == "in a thread" else "error"  # there the program has a thread itself
    child = run_child("-W", warn, "-c", code, env=env)
    assert (child.status, child.out, child.err) == (0, "5\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_forked_child_runs_a_loop_of_its_own() -> None:
    code = (
        "import asyncio, os, threading, sys\nfrom autoinstrument import agent\n"
        "asyncio.run(asyncio.sleep(0.06))\npid = os.fork()\n"
        "async def main():\n    await asyncio.sleep(0.06)\n"
        "    seen = agent.current().watch.ident in sys._current_frames()\n"
        "    return seen, threading.active_count()\n"
        "print('child' if not pid else 'parent', asyncio.run(main()), flush=True)\n"
        "if pid: os.waitpid(pid, 0)\n"
    )
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"}
    child = run_child("-W", "error", "-c", code, env=env)
    assert (child.status, child.err) == (0, "")
    assert sorted(child.out.splitlines()) == ["child (True, 1)", "parent (True, 1)"]


def test_loops_in_many_threads() -> None:
    code = (
        "import asyncio, threading\nfrom autoinstrument import agent\n"
        "def work():\n    asyncio.run(asyncio.sleep(0.02))\n"
        "threads = [threading.Thread(target=work) for _ in range(20)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "loops = agent.current().world.loops.statistics()\n"
        "print(loops, threading.active_count())\n"
    )
    env = {"ASYNCSCOPE_ENABLE": "1", "ASYNCSCOPE_QUIET": "1"}
    child = run_child("-c", code, env=env)
    assert child.status == 0
    expected = {"seen": 20, "running": 0, "closed": 20, "errors": 0, "blocked": 0}
    assert child.out == f"{expected} 1\n"


ALONE = """
import asyncio, gc, sys, warnings
from autoinstrument import agent
from tests.hooks import probes

warnings.simplefilter("ignore")

def runs(debug):
    return lambda coro: asyncio.run(coro, debug=debug)

def seen(probe, debug):
    try:
        return probe(runs(debug))
    except Exception as error:
        return type(error).__name__, str(error)

found = []
for prepare in (gc.collect, agent.install):
    prepare()
    found.append({
        (name, debug): seen(probe, debug)
        for name, probe in probes.PROBES.items() for debug in (False, True)
    })
for key in found[0]:
    if found[0][key] != found[1][key]:
        print(*key, found[0][key], found[1][key], sep="\\n")
off = [hook["target"] for hook in agent.status()["hooks"] if hook["state"] == "off"]
print("uvloop" in sys.modules, off)
"""


def test_program_sees_the_same_where_uvloop_is_not_there() -> None:
    """On Python 3.11 the class of tasks is replaced then."""
    child = run_child("-c", ALONE, env={"ASYNCSCOPE_QUIET": "1"}, cwd=ROOT)
    assert child.status == 0, child.err
    assert child.out == "False []\n"

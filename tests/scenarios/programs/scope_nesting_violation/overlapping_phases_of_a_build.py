"""Budgets of build phases overlap: the next phase begins before the last one ends."""
# requires: anyio
# mention: end, run_build
import anyio


class Budget:
    def __init__(self):
        self.scopes = {}

    def begin(self, phase, seconds):
        self.scopes[phase] = anyio.move_on_after(seconds)
        self.scopes[phase].__enter__()

    def end(self, phase):
        self.scopes.pop(phase).__exit__(None, None, None)  # expect: scope_nesting_violation


async def run_build():
    budget = Budget()
    budget.begin("compile", 1)
    await anyio.sleep(0.01)
    budget.begin("link", 1)
    budget.end("compile")  # expect: scope_nesting_violation
    await anyio.sleep(0.01)
    budget.end("link")
    return "built"


async def main():
    try:
        print(await run_build())
    except RuntimeError as exc:
        print("build failed:", type(exc).__name__)


if __name__ == "__main__":
    anyio.run(main)

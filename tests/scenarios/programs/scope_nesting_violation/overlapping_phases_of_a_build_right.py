"""Phases overlap in time, but each has a task of its own; or they nest."""
# healthy
# requires: anyio
import anyio


class Budget:
    def __init__(self):
        self.scopes = []

    def begin(self, seconds):
        self.scopes.append(anyio.move_on_after(seconds))
        self.scopes[-1].__enter__()

    def end(self):
        self.scopes.pop().__exit__(None, None, None)


async def run_phase(seconds, started):
    with anyio.move_on_after(1):
        started.set()
        await anyio.sleep(seconds)


async def main():
    compiling, linking = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(run_phase, 0.03, compiling, name="compile")
        await compiling.wait()
        group.start_soon(run_phase, 0.05, linking, name="link")
        await linking.wait()
    budget = Budget()
    for seconds in (3, 2, 1):
        budget.begin(seconds)
    await anyio.sleep(0.01)
    for _ in range(3):
        budget.end()
    print("built")


if __name__ == "__main__":
    anyio.run(main)

"""Recipe steps depend on one another in a ring; one of them waits through shield()."""
# mention: step-dough, step-oven, step-table
import asyncio

steps = {}
NEEDS = {"dough": "oven", "oven": "table", "table": "dough"}


async def prepare(name):
    await asyncio.sleep(0.01)
    needed = steps[NEEDS[name]]
    if name == "oven":
        await asyncio.shield(needed)  # expect: task_wait_cycle
    else:
        await needed  # expect: task_wait_cycle
    return name


async def bake():
    for name in NEEDS:
        steps[name] = asyncio.create_task(prepare(name), name=f"step-{name}")
    await asyncio.sleep(1.2)
    print("prepared:", [name for name, step in steps.items() if step.done()])


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bake())
    loop.close()

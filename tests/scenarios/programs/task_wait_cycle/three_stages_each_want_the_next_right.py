"""The ring is cut: the table needs nothing. Waiting for a finished task is no cycle either."""
# healthy
import asyncio

steps = {}
NEEDS = {"dough": "oven", "oven": "table", "table": None}


async def prepare(name):
    await asyncio.sleep(0.01)
    if NEEDS[name] is None:
        return name
    needed = steps[NEEDS[name]]
    if name == "oven":
        return await asyncio.shield(needed) + " " + name
    return await needed + " " + name


async def bake():
    for name in NEEDS:
        steps[name] = asyncio.create_task(prepare(name), name=f"step-{name}")
    print(await steps["dough"])
    print([await step for step in steps.values()])


async def ask_back(future, answer):
    answer.set_result("please")
    return await future


async def converse():
    loop = asyncio.get_running_loop()
    future, answer = loop.create_future(), loop.create_future()
    asker = asyncio.create_task(ask_back(future, answer), name="asker")
    future.set_result(await answer)
    print(await asker)


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bake())
    loop.run_until_complete(converse())
    loop.close()

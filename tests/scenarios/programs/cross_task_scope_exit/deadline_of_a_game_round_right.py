"""The table owns the deadline; the player may move it, which is allowed for any task."""
# healthy
import asyncio


class Round:
    def __init__(self, seconds):
        self.deadline = asyncio.timeout(seconds)

    async def __aenter__(self):
        await self.deadline.__aenter__()
        return self

    async def __aexit__(self, *exc_info):
        return await self.deadline.__aexit__(*exc_info)

    def prolong(self, seconds):
        self.deadline.reschedule(asyncio.get_running_loop().time() + seconds)


async def play(current):
    await asyncio.sleep(0.1)
    current.prolong(0.5)
    await asyncio.sleep(0.2)
    return "played"


async def run_table():
    async with Round(0.2) as current:
        player = asyncio.create_task(play(current), name="player")
        print(await player)
    try:
        async with Round(0.05):
            await asyncio.sleep(0.3)
    except TimeoutError:
        print("second round expired")


if __name__ == "__main__":
    asyncio.run(run_table())

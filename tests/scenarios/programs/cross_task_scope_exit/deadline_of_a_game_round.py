"""A round is begun by the table and finished by a player; its timeout then hits the table."""
# mention: finish, player
import asyncio


class Round:
    async def begin(self, seconds):
        self.deadline = asyncio.timeout(seconds)
        await self.deadline.__aenter__()

    async def finish(self):
        await self.deadline.__aexit__(None, None, None)  # expect: cross_task_scope_exit


async def play(current):
    await asyncio.sleep(0.4)
    await current.finish()
    return "played"


async def run_table():
    current = Round()
    await current.begin(0.2)
    player = asyncio.create_task(play(current), name="player")
    try:
        await asyncio.sleep(0.3)
        print("table was left alone")
    except asyncio.CancelledError:
        print("table was cancelled in the middle of its own work")
    print(await player)


if __name__ == "__main__":
    asyncio.run(run_table())

"""A task that nobody stops: it is still waiting when its loop is closed.

`Session.start()` begins a heartbeat and forgets it. The loop is run and closed by hand, so
nothing cancels what is left; Python mentions it at best when the task is collected.

    ASYNCSCOPE_ENABLE=1 python examples/leaked_task.py

Needs nothing but Python.
"""

import asyncio


class Session:
    """Something that has to be kept alive."""

    def __init__(self) -> None:
        self.beats = 0

    async def start(self) -> None:
        self._heart = asyncio.create_task(self._beat(), name="heartbeat")

    async def _beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0.02)


async def work(session: Session) -> None:
    await session.start()
    await asyncio.sleep(0.1)


def main() -> None:
    session = Session()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work(session))
    finally:
        loop.close()
    print("work done,", "alive" if session.beats > 1 else "dead")


if __name__ == "__main__":
    main()

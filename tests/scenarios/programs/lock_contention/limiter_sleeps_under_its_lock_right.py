"""The limiter computes the next free time under the lock and sleeps without it."""
# healthy
# requires: anyio
import anyio


class Limiter:
    def __init__(self, pause):
        self.lock = anyio.Lock()
        self.pause = pause
        self.next_free = 0.0

    async def throttle(self):
        async with self.lock:
            await anyio.sleep(0.001)
            now = anyio.current_time()
            self.next_free = max(self.next_free, now) + self.pause
        await anyio.sleep(self.next_free - now)


async def call_service(limiter, answers):
    await limiter.throttle()
    answers.append("ok")


async def main():
    limiter, answers = Limiter(0.2), []
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(call_service, limiter, answers, name=f"caller-{number}")
    print(len(answers), "answers, slower than 1.5 s:", anyio.current_time() - started > 1.5)


if __name__ == "__main__":
    anyio.run(main)

"""A rate limiter sleeps while it holds its lock; ten callers stand in line for seconds."""
# requires: anyio
# mention: throttle
import anyio


class Limiter:
    def __init__(self, pause):
        self.lock = anyio.Lock()
        self.pause = pause

    async def throttle(self):
        async with self.lock:  # expect: lock_contention
            await anyio.sleep(self.pause)  # expect: lock_contention


async def call_service(limiter, answers):
    await limiter.throttle()
    answers.append("ok")


async def main():
    limiter, answers = Limiter(0.25), []
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(call_service, limiter, answers, name=f"caller-{number}")
    print(len(answers), "answers, slower than 1.5 s:", anyio.current_time() - started > 1.5)


if __name__ == "__main__":
    anyio.run(main)

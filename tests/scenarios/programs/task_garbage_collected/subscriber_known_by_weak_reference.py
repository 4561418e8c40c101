"""A news hub knows its subscribers weakly; one that only waits for news disappears."""
# mention: listen
import asyncio
import gc
import weakref

hub = weakref.WeakSet()


class Subscriber:
    def __init__(self, name):
        self.name = name
        self.news = asyncio.Queue()
        hub.add(self)

    def start(self, log):
        self.task = asyncio.create_task(self.listen(log), name=f"listener-{self.name}")  # expect: task_garbage_collected

    async def listen(self, log):
        try:
            log.append(await self.news.get())
        finally:
            log.append("left")


def subscribe(name, log):
    Subscriber(name).start(log)


async def main():
    log = []
    subscribe("anna", log)
    await asyncio.sleep(0.01)
    gc.collect()
    await asyncio.sleep(0.01)
    for subscriber in hub:
        subscriber.news.put_nowait("hello")
    await asyncio.sleep(0.01)
    print("subscribers:", len(hub), "heard:", "hello" in log)


if __name__ == "__main__":
    asyncio.run(main())

"""Somebody holds each subscriber, or the queue it waits for: enough to keep a task alive."""
# healthy
import asyncio
import gc
import weakref

hub = weakref.WeakSet()
queues = []


class Subscriber:
    def __init__(self, name):
        self.name = name
        self.news = asyncio.Queue()
        hub.add(self)

    def start(self, log):
        self.task = asyncio.create_task(self.listen(log), name=f"listener-{self.name}")

    async def listen(self, log):
        log.append((self.name, await self.news.get()))


def subscribe(name, log):
    subscriber = Subscriber(name)
    subscriber.start(log)
    return subscriber


def subscribe_by_queue(name, log):
    subscriber = Subscriber(name)
    subscriber.start(log)
    queues.append(subscriber.news)


async def main():
    log = []
    kept = subscribe("anna", log)
    subscribe_by_queue("bert", log)
    asyncio.get_running_loop().create_task(asyncio.sleep(0.05))
    await asyncio.sleep(0.01)
    gc.collect()
    for subscriber in list(hub):
        subscriber.news.put_nowait("hello")
    await asyncio.sleep(0.01)
    print(sorted(log), kept.task.done())
    await asyncio.sleep(0.1)
    gc.collect()


if __name__ == "__main__":
    asyncio.run(main())

"""Each loop has its own queue; orders cross over with call_soon_threadsafe()."""
# healthy
import asyncio
import queue
import threading

kitchens, log = {}, queue.Queue()


async def take_orders(kitchen, ready):
    orders = asyncio.Queue()
    kitchens[kitchen] = asyncio.get_running_loop(), orders
    ready.release()
    while (order := await orders.get()) is not None:
        log.put(f"{kitchen} cooks {order}")


async def count_to(number):
    await asyncio.sleep(0.01)
    return number


def run_kitchen(name, ready):
    asyncio.run(take_orders(name, ready))


if __name__ == "__main__":
    ready = threading.Semaphore(0)
    threads = [threading.Thread(target=run_kitchen, args=(name, ready), name=name)
               for name in ("upstairs", "downstairs")]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    for order in ("soup", "fish"):
        for loop, orders in kitchens.values():
            loop.call_soon_threadsafe(orders.put_nowait, order)
    counts = [asyncio.run_coroutine_threadsafe(count_to(number), loop).result(2)
              for number, (loop, _) in enumerate(kitchens.values())]
    for loop, orders in kitchens.values():
        loop.call_soon_threadsafe(orders.put_nowait, None)
    for thread in threads:
        thread.join()
    print(sorted(log.queue), counts)

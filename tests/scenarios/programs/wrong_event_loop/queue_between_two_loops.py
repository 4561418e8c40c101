"""A module-level asyncio.Queue is used by the loops of two threads."""
# mention: take_order
import asyncio
import threading

orders = asyncio.Queue()
log = []


async def take_order(kitchen):
    try:
        order = await asyncio.wait_for(orders.get(), 0.3)  # expect: wrong_event_loop
        log.append(f"{kitchen} cooks {order}")
    except TimeoutError:
        log.append(f"{kitchen} has nothing to do")
    except RuntimeError as exc:
        log.append(f"{kitchen}: {'different event loop' in str(exc)}")


def run_kitchen(name):
    asyncio.run(take_order(name))


if __name__ == "__main__":
    for name in ("upstairs", "downstairs"):
        thread = threading.Thread(target=run_kitchen, args=(name,), name=name)
        thread.start()
        thread.join()
    print(log)

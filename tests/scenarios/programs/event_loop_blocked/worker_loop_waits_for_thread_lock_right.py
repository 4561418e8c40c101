"""The thread lock is held for a moment only; the main thread may block as it likes."""
# healthy
import asyncio
import threading
import time

statistics_lock = threading.Lock()


async def update_statistics(counts, key):
    for _ in range(20):
        await asyncio.sleep(0.01)
        with statistics_lock:
            counts[key] = counts.get(key, 0) + 1


def run_worker(counts):
    asyncio.run(update_statistics(counts, "requests"))


def write_snapshot(counts):
    with statistics_lock:
        snapshot = dict(counts)
    time.sleep(0.4)
    return snapshot


if __name__ == "__main__":
    counts = {}
    writer = threading.Thread(target=write_snapshot, args=(counts,), name="snapshot-writer")
    worker = threading.Thread(target=run_worker, args=(counts,), name="worker-loop")
    writer.start()
    worker.start()
    worker.join()
    writer.join()
    print(counts)

"""The loop of a worker thread blocks on a threading.Lock which another thread holds."""
# mention: update_statistics
import asyncio
import threading
import time

statistics_lock = threading.Lock()


async def update_statistics(counts, key):
    await asyncio.sleep(0.02)
    with statistics_lock:  # expect: event_loop_blocked
        counts[key] = counts.get(key, 0) + 1


def run_worker(counts):
    asyncio.run(update_statistics(counts, "requests"))


def write_snapshot(counts):
    with statistics_lock:
        time.sleep(0.6)
        return dict(counts)


if __name__ == "__main__":
    counts = {}
    writer = threading.Thread(target=write_snapshot, args=(counts,), name="snapshot-writer")
    worker = threading.Thread(target=run_worker, args=(counts,), name="worker-loop")
    writer.start()
    time.sleep(0.05)
    worker.start()
    worker.join()
    writer.join()
    print(counts)

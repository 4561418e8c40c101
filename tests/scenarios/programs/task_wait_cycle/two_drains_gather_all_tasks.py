"""Two shutdown helpers wait for "all other tasks", each of them for the other."""
# mention: drain-http, drain-jobs
import asyncio

stopped = []


async def drain(name):
    await asyncio.sleep(0.02)
    others = [task for task in asyncio.all_tasks()
              if task is not asyncio.current_task() and task.get_name().startswith("drain")]
    await asyncio.gather(*others)  # expect: task_wait_cycle
    stopped.append(name)


async def shut_down():
    drains = [asyncio.create_task(drain(name), name=f"drain-{name}") for name in ("http", "jobs")]
    done, pending = await asyncio.wait(drains, timeout=1.2)
    print("stopped:", stopped, "hanging:", sorted(task.get_name() for task in pending))


if __name__ == "__main__":
    # asyncio.run() would cancel the tasks, and that follows the cycle without an end.
    loop = asyncio.new_event_loop()
    loop.run_until_complete(shut_down())
    loop.close()

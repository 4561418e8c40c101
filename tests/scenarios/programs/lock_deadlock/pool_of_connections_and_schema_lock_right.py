"""Looks like a circle, but there is always one connection left for the migration."""
# healthy
import asyncio


class Database:
    def __init__(self):
        self.connections = asyncio.Semaphore(3)
        self.schema = asyncio.Lock()

    async def migrate(self):
        async with self.schema:
            await asyncio.sleep(0.02)
            async with self.connections:
                return "migrated"

    async def run_query(self, text):
        async with self.connections:
            await asyncio.sleep(0.02)
            async with self.schema:
                return text


async def main():
    database = Database()
    jobs = [
        asyncio.create_task(database.run_query("select 1"), name="query-1"),
        asyncio.create_task(database.run_query("select 2"), name="query-2"),
        asyncio.create_task(database.migrate(), name="migration"),
    ]
    done, pending = await asyncio.wait(jobs, timeout=1.3)
    print("done:", len(done), "stuck:", sorted(job.get_name() for job in pending))


if __name__ == "__main__":
    asyncio.run(main())

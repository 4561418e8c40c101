"""Migrations hold the schema lock and want a connection; queries hold the connections."""
# mention: migrate, run_query
import asyncio


class Database:
    def __init__(self):
        self.connections = asyncio.Semaphore(2)
        self.schema = asyncio.Lock()

    async def migrate(self):
        async with self.schema:
            await asyncio.sleep(0.05)
            async with self.connections:  # expect: lock_deadlock
                return "migrated"

    async def run_query(self, text):
        async with self.connections:
            await asyncio.sleep(0.05)
            async with self.schema:  # expect: lock_deadlock
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
    for job in pending:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())

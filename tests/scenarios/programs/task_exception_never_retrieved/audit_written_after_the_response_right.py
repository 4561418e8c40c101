"""The failure is looked at: by a done callback, or by the framework's background task."""
# healthy
# requires: fastapi, httpx
import asyncio

import httpx
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
audit_log, failures, running = [], [], set()


async def write_audit(entry):
    await asyncio.sleep(0.01)
    audit_log.append(int(entry["amount"]))


async def write_audit_safely(entry):
    try:
        await write_audit(entry)
    except ValueError as exc:
        failures.append(type(exc).__name__)


def finished(task):
    running.discard(task)
    if not task.cancelled() and task.exception():
        failures.append(type(task.exception()).__name__)


@app.post("/payments")
async def pay(entry: dict, background: BackgroundTasks):
    task = asyncio.create_task(write_audit(entry), name="audit")
    running.add(task)
    task.add_done_callback(finished)
    background.add_task(write_audit_safely, entry)
    return {"status": "accepted"}


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        for amount in ("12", "12,50"):
            response = await client.post("/payments", json={"amount": amount})
            print(response.status_code, response.json())
        await asyncio.sleep(0.1)
    print("audit log:", audit_log, failures, len(running))


if __name__ == "__main__":
    asyncio.run(main())

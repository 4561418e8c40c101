"""A FastAPI endpoint starts the audit entry in the background, where it fails in silence."""
# requires: fastapi, httpx
# mention: write_audit, ValueError
import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
audit_log = []


async def write_audit(entry):
    await asyncio.sleep(0.01)
    audit_log.append(int(entry["amount"]))


@app.post("/payments")
async def pay(entry: dict):
    asyncio.create_task(write_audit(entry), name="audit")  # expect: task_exception_never_retrieved
    return {"status": "accepted"}


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        for amount in ("12", "12,50"):
            response = await client.post("/payments", json={"amount": amount})
            print(response.status_code, response.json())
        await asyncio.sleep(0.1)
    print("audit log:", audit_log)


if __name__ == "__main__":
    asyncio.run(main())

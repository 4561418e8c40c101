"""One page of a report is missing; the other requests go on after the client was closed."""
# requires: starlette, httpx
# mention: fetch_page, build_report
import asyncio

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

served = []


async def page(request):
    number = request.path_params["number"]
    if number == 3:
        return PlainTextResponse("no such page", status_code=404)
    await asyncio.sleep(0.15)
    served.append(number)
    return PlainTextResponse(f"page {number}")


app = Starlette(routes=[Route("/page/{number:int}", page)])


async def fetch_page(client, number):
    response = await client.get(f"/page/{number}")
    response.raise_for_status()
    return response.text


async def build_report(client):
    pages = [fetch_page(client, number) for number in range(1, 5)]
    return await asyncio.gather(*pages)  # expect: gather_orphan


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        try:
            print(await build_report(client))
        except httpx.HTTPStatusError as exc:
            print("no report:", exc.response.status_code, "served so far:", served)
        await asyncio.sleep(0.3)
    print("served in the end:", sorted(served))


if __name__ == "__main__":
    asyncio.run(main())

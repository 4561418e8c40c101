"""All pages get their chance, or a task group stops the rest."""
# healthy
# requires: starlette, httpx
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
    await asyncio.sleep(0.05)
    served.append(number)
    return PlainTextResponse(f"page {number}")


app = Starlette(routes=[Route("/page/{number:int}", page)])


async def fetch_page(client, number):
    response = await client.get(f"/page/{number}")
    response.raise_for_status()
    return response.text


async def build_partial_report(client):
    pages = [fetch_page(client, number) for number in range(1, 5)]
    results = await asyncio.gather(*pages, return_exceptions=True)
    return [type(result).__name__ for result in results]


async def build_report(client):
    async with asyncio.TaskGroup() as group:
        pages = [group.create_task(fetch_page(client, number)) for number in range(1, 5)]
    return [page.result() for page in pages]


async def main():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        print(await build_partial_report(client))
        try:
            print(await build_report(client))
        except* httpx.HTTPStatusError as errors:
            print("no report:", errors.exceptions[0].response.status_code)
        await asyncio.sleep(0.1)
    print("served in the end:", sorted(served))


if __name__ == "__main__":
    asyncio.run(main())

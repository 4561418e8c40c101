"""After the header has been looked at, the rest is read, or closed, or was never begun."""
# healthy
import asyncio

state = {"files open": 0}


async def read_lines(name):
    state["files open"] += 1
    try:
        for line in ("id;name", "1;anna", "2;bert"):
            await asyncio.sleep(0.001)
            yield line
    finally:
        state["files open"] -= 1


class Importer:
    def __init__(self, name):
        self.lines = read_lines(name)

    async def check_header(self):
        header = await anext(self.lines)
        return header.split(";")

    async def close(self):
        await self.lines.aclose()


async def main():
    importers = [Importer(name) for name in ("a.csv", "b.csv", "c.csv", "d.csv")]
    print(await importers[0].check_header())
    print([line async for line in importers[0].lines])
    print(await importers[1].check_header())
    await importers[1].close()
    await importers[2].close()
    steps = [await anext(importers[3].lines) for _ in range(3)]
    print(len(steps), await anext(importers[3].lines, "end of file"))
    print(state)


if __name__ == "__main__":
    asyncio.run(main())

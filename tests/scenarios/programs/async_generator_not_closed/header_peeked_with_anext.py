"""The importer looks at the header line with anext() and never reads the rest."""
# mention: read_lines, check_header
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
        header = await anext(self.lines)  # expect: async_generator_not_closed
        return header.split(";")


async def main():
    importers = [Importer(name) for name in ("a.csv", "b.csv")]
    for importer in importers:
        print(await importer.check_header())
    await asyncio.sleep(0.02)
    print(state)


if __name__ == "__main__":
    asyncio.run(main())

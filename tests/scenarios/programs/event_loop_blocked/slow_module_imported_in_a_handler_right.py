"""The handler lets a thread import what takes its time."""
# healthy
import asyncio
import importlib
import pathlib
import sys
import tempfile

MODULE = "import time\ntime.sleep(0.6)\nNAME = 'charts'\n"


async def render_chart():
    charts = await asyncio.to_thread(importlib.import_module, "charts_for_reports")
    return charts.NAME


async def main():
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "charts_for_reports.py").write_text(MODULE)
        sys.path.insert(0, folder)
        print(await render_chart())
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())

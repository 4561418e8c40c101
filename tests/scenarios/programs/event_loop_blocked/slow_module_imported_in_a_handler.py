"""A handler imports what it needs when the first request comes, and the module takes its time."""
# mention: render_chart
import asyncio
import pathlib
import sys
import tempfile

MODULE = "import time\ntime.sleep(0.6)\nNAME = 'charts'\n"


async def render_chart():
    import charts_for_reports  # expect: event_loop_blocked

    return charts_for_reports.NAME


async def main():
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "charts_for_reports.py").write_text(MODULE)
        sys.path.insert(0, folder)
        print(await render_chart())
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())

"""The whole process is stopped for a while from outside, as by Ctrl-Z or a frozen container."""
# healthy
import asyncio
import os
import subprocess
import sys

FREEZER = """
import os, signal, sys, time
pid = int(sys.argv[1])
for _ in range(3):
    time.sleep(0.3)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.6)
    os.kill(pid, signal.SIGCONT)
"""


async def count_words(text):
    found = 0
    for line in text:
        found += len(line.split())
        await asyncio.sleep(0)
    return found


async def main():
    text = ["the quick brown fox jumps over the lazy dog " * 40] * 200
    with subprocess.Popen([sys.executable, "-c", FREEZER, str(os.getpid())]) as freezer:
        while freezer.poll() is None:
            assert await count_words(text) == 72000
    print("done")


if __name__ == "__main__":
    asyncio.run(main())

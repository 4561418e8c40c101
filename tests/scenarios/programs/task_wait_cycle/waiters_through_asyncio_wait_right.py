"""Supervisors wait for one another in a line, for whichever comes first, or not for long."""
# healthy
import asyncio

tasks = {}


async def supervise(other):
    await asyncio.sleep(0.01)
    if other:
        await asyncio.wait([tasks[other]])


async def first_of(name, event):
    others = [asyncio.ensure_future(event.wait()), tasks[name]]
    await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    others[0].cancel()


async def patient(other):
    await asyncio.sleep(0.01)
    await asyncio.wait([tasks[other]], timeout=0.5)


async def main():
    tasks["first"] = asyncio.create_task(supervise("second"), name="first")
    tasks["second"] = asyncio.create_task(supervise(""), name="second")
    event = asyncio.Event()
    tasks["third"] = asyncio.create_task(first_of("fourth", event), name="third")
    tasks["fourth"] = asyncio.create_task(first_of("third", event), name="fourth")
    tasks["fifth"] = asyncio.create_task(patient("sixth"), name="fifth")
    tasks["sixth"] = asyncio.create_task(patient("fifth"), name="sixth")
    await asyncio.sleep(0.4)
    event.set()
    await asyncio.gather(*tasks.values())
    print("over")


asyncio.run(main())

"""An anyio service on the trio backend: sockets, streams, threads, locks, nested deadlines."""
# healthy
# requires: anyio, trio
import anyio
from anyio.abc import TaskStatus


async def serve_lines(*, task_status: TaskStatus):
    async def handle(stream):
        async with stream:
            try:
                while True:
                    data = await stream.receive()
                    await stream.send(data.upper())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
        await listener.serve(handle)


async def ask(port, text, answers):
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(text.encode())
        with anyio.fail_after(2):
            answers.append((await stream.receive()).decode())


async def produce(send, count):
    async with send:
        for number in range(count):
            await send.send(number)


async def consume(receive, sums, lock):
    async with receive:
        async for number in receive:
            async with lock:
                await anyio.sleep(0)
                sums.append(number)


async def race(winner):
    async with anyio.create_task_group() as group:
        async def run(name, seconds):
            await anyio.sleep(seconds)
            winner.append(name)
            group.cancel_scope.cancel()

        for number in range(5):
            group.start_soon(run, f"runner-{number}", 0.01 + number)


async def nested_deadlines():
    with anyio.move_on_after(1) as outer:
        for _ in range(5):
            with anyio.move_on_after(0.005):
                await anyio.sleep_forever()
        try:
            with anyio.fail_after(0.005):
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.01)
                await anyio.sleep(1)
        except TimeoutError:
            pass
    return outer.cancelled_caught


async def main():
    answers, sums, winner = [], [], []
    async with anyio.create_task_group() as group:
        port = await group.start(serve_lines, name="line-server")
        async with anyio.create_task_group() as clients:
            for text in ("one", "two", "three"):
                clients.start_soon(ask, port, text, answers, name=f"ask-{text}")
        group.cancel_scope.cancel()
    lock = anyio.Lock()
    send, receive = anyio.create_memory_object_stream(2)
    async with anyio.create_task_group() as group:
        with send, receive:
            for _ in range(3):
                group.start_soon(produce, send.clone(), 10)
                group.start_soon(consume, receive.clone(), sums, lock)
    await race(winner)
    limiter = anyio.CapacityLimiter(2)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(lambda: anyio.to_thread.run_sync(sum, range(1000), limiter=limiter))
    print(sorted(answers), sum(sums), winner, await nested_deadlines())


if __name__ == "__main__":
    anyio.run(main, backend="trio")

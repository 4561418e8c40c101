"""Three anyio transfers lock two accounts each, in a ring."""
# requires: anyio
# mention: transfer
import anyio


class Account:
    def __init__(self, name):
        self.name = name
        self.balance = 10
        self.lock = anyio.Lock()


async def transfer(source, target, done):
    async with source.lock:
        await anyio.sleep(0.02)
        async with target.lock:  # expect: lock_deadlock
            source.balance -= 1
            target.balance += 1
            done.append(f"{source.name} to {target.name}")


async def main():
    accounts, done = [Account(name) for name in "abc"], []
    with anyio.move_on_after(1.3):
        async with anyio.create_task_group() as group:
            for source, target in zip(accounts, accounts[1:] + accounts[:1]):
                group.start_soon(transfer, source, target, done, name=f"transfer-{source.name}")
    print("done:", done)


if __name__ == "__main__":
    anyio.run(main)

"""The same ring, but every transfer locks its accounts in alphabetical order."""
# healthy
# requires: anyio
import anyio


class Account:
    def __init__(self, name):
        self.name = name
        self.balance = 10
        self.lock = anyio.Lock()


async def transfer(source, target, done):
    first, second = sorted((source, target), key=lambda account: account.name)
    async with first.lock:
        await anyio.sleep(0.005)
        async with second.lock:
            source.balance -= 1
            target.balance += 1
            done.append(f"{source.name} to {target.name}")


async def main():
    accounts, done = [Account(name) for name in "abc"], []
    with anyio.move_on_after(1.3):
        async with anyio.create_task_group() as group:
            for source, target in 5 * list(zip(accounts, accounts[1:] + accounts[:1])):
                group.start_soon(transfer, source, target, done, name=f"transfer-{source.name}")
    print("done:", len(done), [account.balance for account in accounts])


if __name__ == "__main__":
    anyio.run(main)

"""Two tasks that wait for each other: each holds a lock that the other one wants.

`transfer()` locks the account that gives and then the account that takes. Two transfers in
opposite directions stop for ever; here a deadline ends them after a second and a half.

    ASYNCSCOPE_ENABLE=1 python examples/stuck_lock.py

Needs nothing but Python.
"""

import asyncio


class Account:
    """A balance and the lock that guards it."""

    def __init__(self, owner: str, balance: int) -> None:
        self.owner = owner
        self.balance = balance
        self.lock = asyncio.Lock()


async def transfer(giver: Account, taker: Account, amount: int) -> None:
    async with giver.lock:
        await asyncio.sleep(0.01)  # asks the bank whether that is allowed
        async with taker.lock:
            giver.balance -= amount
            taker.balance += amount


async def main() -> None:
    ann, bob = Account("Ann", 100), Account("Bob", 100)
    try:
        async with asyncio.timeout(1.5), asyncio.TaskGroup() as group:
            group.create_task(transfer(ann, bob, 10), name="Ann to Bob")
            group.create_task(transfer(bob, ann, 20), name="Bob to Ann")
    except TimeoutError:
        print("no answer from the bank")
    print(f"Ann {ann.balance}, Bob {bob.balance}")


if __name__ == "__main__":
    asyncio.run(main())

"""Sessions with an SDK or a server, as the program names them: nothing tells them by itself."""

from time import monotonic_ns


class SessionTracker:
    """Owns what is known of open sessions, by number."""

    def __init__(self) -> None:
        """Start empty."""
        self.open: dict[int, tuple[str, int]] = {}
        """Name and time of opening."""
        self.count = 0

    def opened(self, name: str) -> int:
        """Record a session; return its number."""
        self.count += 1
        self.open[self.count] = (name, monotonic_ns())
        return self.count

    def closed(self, number: int) -> int:
        """Record that a session is closed; return how long it was open, in nanoseconds.

        Raises:
            KeyError: no such session is open.
        """
        return monotonic_ns() - self.open.pop(number)[1]

    def statistics(self) -> dict[str, int]:
        """Return exact counts since the start."""
        return {"opened": self.count, "open": len(self.open)}

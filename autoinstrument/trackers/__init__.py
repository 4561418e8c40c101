"""Trackers: each owns the records of one kind of thing."""

import asyncio  # noqa: F401 - first: its import may install the agent, which needs this package

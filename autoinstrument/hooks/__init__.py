"""Hooks: one file for each part of a library; each tells one tracker facts."""

import asyncio  # noqa: F401 - first: its import may install the agent, which needs this package

"""Explain what asyncio and anyio programs do, without changing them.

Importing this package costs nothing: every public name is looked up on first use, and
nothing is patched before `install()` or `ASYNCSCOPE_ENABLE=1`.
"""

__version__ = "0.1.0"

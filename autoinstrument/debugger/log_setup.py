"""Apply the `logging` section of the configuration to the loggers of this package only."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import LoggingConfig

LOGGER = "autoinstrument.debugger"


def apply_logging(config: LoggingConfig) -> None:
    """Set the level, and add the file once; other loggers are not touched."""
    logger = logging.getLogger(LOGGER)
    if config.level != "warning" or config.events:
        level = logging.getLevelName(config.level.upper())
        logger.setLevel(min(level, logging.INFO) if config.events else level)
    if config.file and not any(_writes_to(entry, config.file) for entry in logger.handlers):
        handler = logging.FileHandler(config.file, encoding="utf-8", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger.addHandler(handler)


def _writes_to(handler: logging.Handler, path: str) -> bool:
    from pathlib import Path

    found = isinstance(handler, logging.FileHandler)
    return found and handler.baseFilename == str(Path(path).absolute())  # type: ignore[attr-defined]

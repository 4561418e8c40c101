"""`asyncscope explain`."""

import argparse

SUMMARY = "explain"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def run(options: argparse.Namespace) -> int:
    """Do nothing yet."""
    return 2

"""The command line."""

from perfsuite.cli.commands import main

__all__ = ["main"]

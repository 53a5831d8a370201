"""The command line: one file per command, Typer stays here. Every heavy import waits until its command runs."""

from phone2sim.cli.app import app, main

__all__ = ["app", "main"]

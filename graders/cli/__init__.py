"""The command `graders`: one module for each verb, imported when it is used."""

from graders.cli.main import main

__all__ = ["main"]

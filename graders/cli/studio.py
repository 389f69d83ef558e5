"""`graders studio`: the problem to paste into Studio, once more."""

from __future__ import annotations

from pathlib import Path

import click

from graders.cli import options
from graders.grader_file import load_manifest
from graders.publishing.studio import problem_xml


@click.command(name="studio")
@options.grader_directory
@click.option("--queue", required=True, help="The queue that the problem posts to.")
def command(directory: Path, queue: str) -> None:
    """Print the problem for the grader in DIRECTORY as XML for Studio's Blank Problem."""
    click.echo(problem_xml(load_manifest(directory), queue), nl=False)

"""`graders new`: begin a grader from a working example."""

from __future__ import annotations

from pathlib import Path

import click

from graders.templating import IMAGE, create_grader, languages


@click.command(name="new")
@click.argument("path", metavar="NAME", type=click.Path(path_type=Path))
@click.option(
    "--lang",
    "language",
    type=click.Choice(languages()),
    help="What learners write; python unless you say otherwise.",
)
@click.option("--tier", type=click.Choice(["2"]), help="2: with an image of its own (Bash).")
def command(path: Path, language: str | None, tier: str | None) -> None:
    """Make the directory NAME with a small grader that works, to be changed into yours."""
    if tier is not None and language not in (None, "bash"):
        raise click.UsageError("the template of tier 2 is for bash; change its files afterwards")
    for file in create_grader(path, IMAGE if tier else language or "python"):
        click.echo(f"  {path / file}")
    click.echo("Now change grader.yaml, and see what it does:")
    click.echo(f"  graders check {path}")

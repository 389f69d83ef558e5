"""`graders build`: the image of a grader that has a Dockerfile."""

from __future__ import annotations

from pathlib import Path

import click

from graders.cli import options


@click.command(name="build")
@options.grader_directory
@click.option(
    "--push",
    "repository",
    metavar="REGISTRY/NAME",
    help="Push it there, with your `docker login`, and print its name by digest.",
)
@click.option("--tag", help="With --push: the tag that keeps it in the registry.")
@click.option("--quiet", is_flag=True, help="Show what Docker says only when it fails.")
def command(directory: Path, repository: str | None, tag: str | None, quiet: bool) -> None:
    """Build the image of the grader in DIRECTORY and see that learners can not read it.

    Prints what `graders publish --image` takes: the image's id, which pins it on this host, or with
    --push REGISTRY/NAME@sha256:…, which pins it everywhere.
    """
    from graders.local_sandbox import open_local_sandbox
    from graders.publishing.docker_program import DockerProgram
    from graders.publishing.image_build import build_image
    from graders.publishing.image_check import examine
    from graders.publishing.registry import push_image, require_repository

    if tag is not None and repository is None:
        raise click.UsageError("--tag has a meaning only together with --push")
    if repository is not None:
        require_repository(repository, tag)
    docker = DockerProgram(shows=not quiet)
    sandbox = open_local_sandbox("docker")
    try:
        built = build_image(directory, docker)
        examine(built.manifest, built.image_id, sandbox.backend)
    finally:
        sandbox.backend.close()
    click.echo("Learners can not read what is the grader's.", err=True)
    if repository is None:
        click.echo(built.image_id)
    else:
        click.echo(push_image(built, repository, docker, tag=tag))

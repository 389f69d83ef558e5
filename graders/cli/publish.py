"""`graders publish`: hand a grader to the server, and say what to paste into Studio."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graders.bundle import Bundle, pack
from graders.cli import options
from graders.errors import NoSandbox
from graders.grader_file import load_manifest
from graders.manifest import Manifest, manifest_to_json
from graders.publishing.studio import problem_xml
from sandbox.backends.docker.pulling import IMAGE_ID

if TYPE_CHECKING:
    from graders.server_client import ServerClient

NOT_EXAMINED = (
    "The image can not be examined here; the hosts that grade do so before they use it "
    "(`graders versions` shows what they say)."
)
ONE_HOST = (
    "is the id of an image on this machine: only hosts that have this very image can grade with "
    "it. For others, push it: graders build DIR --push REGISTRY/NAME, then publish with --image."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What goes to the server, and what did not."""

    manifest: Manifest
    source: Mapping[str, str]
    """`digest` or `image`."""
    left_out: tuple[str, ...] = ()


@click.command(name="publish")
@options.grader_directory
@click.option("--queue", required=True, help="The queue whose submissions it grades.")
@click.option("--image", help="Tier 2: what `graders build` printed; else it is built.")
@click.option("--keep-back", is_flag=True, help="Store the version without using it yet.")
@options.server
def command(
    directory: Path,
    queue: str,
    image: str | None,
    keep_back: bool,
    server_url: str | None,
    token_file: Path | None,
) -> None:
    """Publish the grader in DIRECTORY as a new version; the versions before are kept.

    Prints the version on stderr and the problem for Studio on stdout. Run `graders check` first.
    """
    client = options.open_server(server_url, token_file)
    if load_manifest(directory).tier == 2:
        published = _as_image(directory, image)
    elif image is not None:
        raise click.UsageError("--image is for graders with a Dockerfile; this one needs none")
    else:
        published = _as_bundle(directory, client)
    manifest = published.manifest
    version = client.request(
        "POST",
        "/api/v1/graders",
        json={
            "queue": queue,
            "name": manifest.name,
            "activate": not keep_back,
            "manifest": manifest_to_json(manifest),
            **published.source,
        },
    )
    click.echo(_said(queue, manifest.name, version, published), err=True)
    click.echo(problem_xml(manifest, queue), nl=False)


def _as_bundle(directory: Path, client: ServerClient) -> Published:
    bundle = pack(directory)
    if not bundle.manifest.tests:
        bundle = _with_tests(directory, bundle)
    client.store_bundle(bundle)
    return Published(
        manifest=bundle.manifest, source={"digest": bundle.digest}, left_out=bundle.left_out
    )


def _as_image(directory: Path, image: str | None) -> Published:
    """Examined where there is a Docker, fetched if need be; without one, the hosts that grade do
    it before they use it, and report."""
    from graders.local_sandbox import docker_answers, open_local_sandbox
    from graders.publishing.docker_program import DockerProgram
    from graders.publishing.image_build import build_image
    from graders.publishing.image_check import (
        MadeForAnotherMachine,
        examine,
        require_same_grader,
    )

    manifest = load_manifest(directory)
    if image is not None and not docker_answers():
        click.echo(NOT_EXAMINED, err=True)
        return Published(manifest=replace(manifest, image=image), source={"image": image})
    docker = DockerProgram()
    if image is None:
        image = build_image(directory, docker).image_id
    sandbox = open_local_sandbox("docker")
    try:
        manifest = examine(manifest, image, sandbox.backend)
    except MadeForAnotherMachine as error:
        click.echo(f"{error}\n{NOT_EXAMINED}", err=True)
        manifest = replace(manifest, image=image)
    finally:
        sandbox.backend.close()
    require_same_grader(manifest, image, docker)
    if IMAGE_ID.fullmatch(image):
        click.echo(f"{image} {ONE_HOST}", err=True)
    return Published(manifest=manifest, source={"image": image})


def _with_tests(directory: Path, bundle: Bundle) -> Bundle:
    """A grade.py that declares its tests itself must be asked for them, in a sandbox."""
    from graders.describing import pack_with_tests
    from graders.local_sandbox import open_local_sandbox

    try:
        sandbox = open_local_sandbox(base=bundle.manifest.base)
    except NoSandbox:
        click.echo(
            "Published without the list of its tests: there is no sandbox here to ask grade.py.\n"
            "With `tests:` in grader.yaml the server can refuse reports of unknown tests.",
            err=True,
        )
        return bundle
    try:
        return pack_with_tests(directory, sandbox.backend)
    finally:
        sandbox.backend.close()


def _said(queue: str, name: str, version: dict[str, object], published: Published) -> str:
    number = version["version"]
    lines = [f"{name} version {number} is published on queue {queue}."]
    if not version["active"]:
        lines.append(f"It is kept back: `{_use(queue, name, number)}` puts it to use.")
    if not version.get("default"):
        lines.append(f'Problems reach it with grader_payload {{"grader": "{name}"}}.')
    if published.left_out:
        lines.append(f"Left out: {', '.join(published.left_out)}")
    return "\n".join([*lines, "The problem to paste into Studio:", ""])


def _use(queue: str, name: str, number: object) -> str:
    """The command that puts a version to use, with the options that were given to this one."""
    words = ["graders", "rollback", name, str(number), "--queue", queue]
    context = click.get_current_context()
    for option, parameter in (("--server", "server_url"), ("--token-file", "token_file")):
        if context.get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE:
            words += [option, str(context.params[parameter])]
    return shlex.join(words)

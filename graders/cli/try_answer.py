"""`graders try`: one answer, graded exactly as in production."""

from __future__ import annotations

import json
import tempfile
import webbrowser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from graders.bundle import pack
from graders.cli import options
from graders.errors import GradingFailed, ServerRefused
from graders.grader_file import load_manifest
from graders.reply import NoGrade, build_reply, result_record
from graders.showing import result_page, result_text
from graders.trying import DEFAULT_SEED, Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What came of it, wherever it ran."""

    title: str
    where: str
    record: dict[str, Any]
    reply: dict[str, Any] | None
    """None when there is no grade; `record` says why."""


class NamedFile(click.ParamType[tuple[str, bytes]]):
    """`NAME=PATH`, read."""

    name = "NAME=PATH"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, bytes]:
        name, equals, path = value.partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not NAME=PATH", param, ctx)
        try:
            return name, Path(path).read_bytes()
        except OSError as error:
            self.fail(f"{path}: {error.strerror}", param, ctx)


@click.command(name="try")
@options.grader_directory
@click.argument("submission", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--file", "files", type=NamedFile(), multiple=True, help="A file the learner attaches; repeat."
)
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="random_seed.")
@click.option("--payload", help='grader_payload; else {"grader": NAME}.')
@click.option(
    "--html",
    "html_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the page the learner sees.",
)
@click.option("--open", "open_page", is_flag=True, help="Show that page in the browser.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, for programs.")
@click.option(
    "--shell", is_flag=True, help="Do not grade: open a shell where the answer would run."
)
@options.local_backend
@options.server
@click.option("--queue", help="Run it on the server, by the workers of this queue.")
@click.option("--image", help="With --server, tier 2: what `graders build --push` printed.")
def command(
    directory: Path,
    submission: Path,
    files: tuple[tuple[str, bytes], ...],
    seed: int,
    payload: str | None,
    html_path: Path | None,
    open_page: bool,
    as_json: bool,
    shell: bool,
    backend: str | None,
    server_url: str | None,
    token_file: Path | None,
    queue: str | None,
    image: str | None,
) -> None:
    """Grade the answer in the file SUBMISSION with the grader in DIRECTORY.

    It runs as learners' answers do: packed as it would be published, in the same sandbox with the
    same limits. Exit status 1 when there is no grade.
    """
    text = submission.read_bytes().decode("utf-8", errors="replace")
    answer = Answer(response=text, files=dict(files), seed=seed, payload=payload)
    if shell:
        from graders.shell import open_shell

        raise SystemExit(open_shell(directory, answer, backend))
    if _asked_for_server(queue):
        if backend:
            raise click.UsageError("--backend has no meaning together with --server")
        graded = _on_server(directory, answer, server_url, token_file, queue, image)
    else:
        graded = _here(directory, answer, backend)
    _write_page(graded, html_path, open_page)
    _print(graded, as_json)
    if graded.reply is None:
        raise SystemExit(1)


def _here(directory: Path, answer: Answer, backend: str | None) -> Graded:
    from graders.local_sandbox import base_of, open_local_sandbox
    from graders.trying import opened

    sandbox = open_local_sandbox(backend, base=base_of(directory))
    try:
        with opened(directory, sandbox.backend) as grader:
            result = grader.grade(answer)
            points = grader.manifest.lms_points
            title = grader.manifest.title
    finally:
        sandbox.backend.close()
    try:
        reply = json.loads(build_reply(result, lms_points=points))
    except NoGrade:
        reply = None
    record = result_record(result, lms_points=points)
    return Graded(title=title, where=sandbox.why, record=record, reply=reply)


def _asked_for_server(queue: str | None) -> bool:
    """By --queue, or by --server itself: an address in the environment is there for publishing."""
    source = click.get_current_context().get_parameter_source("server_url")
    return queue is not None or source is click.core.ParameterSource.COMMANDLINE


def _on_server(
    directory: Path,
    answer: Answer,
    url: str | None,
    token_file: Path | None,
    queue: str | None,
    image: str | None,
) -> Graded:
    if queue is None:
        raise click.UsageError("--server needs --queue: on whose workers it is to run")
    client = options.open_server(url, token_file)
    manifest = replace(load_manifest(directory), image=image)
    if manifest.tier == 2 and image is None:
        raise GradingFailed(
            f"this grader is an image: `graders build {directory} --push REGISTRY/NAME`, and give "
            "what that prints with --image"
        )
    bundle = None if manifest.tier == 2 else pack(directory)
    trial = client.try_answer(queue, bundle, manifest, answer)
    reply = trial.get("reply")
    if not isinstance(reply, dict):
        raise GradingFailed(f"the trial failed: {trial.get('detail') or trial.get('held_reason')}")
    record = trial.get("record")
    if not isinstance(record, dict) or "tests" not in record:
        raise ServerRefused("the trial has no record: its worker is of another version")
    where = f"on {url}, queue {queue}"
    return Graded(title=manifest.title, where=where, record=record, reply=reply)


def _write_page(graded: Graded, path: Path | None, open_page: bool) -> None:
    if graded.reply is None or not (path or open_page):
        return
    if path is None:
        # Kept: the browser reads it after we are gone.
        with tempfile.NamedTemporaryFile(suffix=".html", delete=False) as file:
            path = Path(file.name)
    path.write_text(result_page(graded.title, graded.reply), encoding="utf-8")
    click.echo(f"The learner's page: {path}", err=True)
    if open_page:
        webbrowser.open(path.resolve().as_uri())


def _print(graded: Graded, as_json: bool) -> None:
    if as_json:
        said = {"where": graded.where, "record": graded.record, "reply": graded.reply}
        click.echo(json.dumps(said, indent=2, allow_nan=False))
        return
    click.echo(f"{graded.title} ({graded.where})")
    click.echo(result_text(graded.record, graded.reply))

"""`sandbox-check`: tells an operator whether this host holds hostile code, case by case."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from sandbox.backend import BackendDescription, SandboxBackend
from sandbox.backends.docker import GRADER_BASE_IMAGE
from sandbox.backends.docker.settings import SlotSettings
from sandbox.checking import SUITES, try_suite
from sandbox.conformance import CaseOutcome, CaseResult
from sandbox.conformance_cases import CASES as PROMISES
from sandbox.conformance_report import (
    HostFacts,
    Report,
    as_json,
    as_line,
    as_text,
    facts_of_engine,
    facts_of_this_host,
)
from sandbox.factory import BackendName, open_backend
from sandbox.hostile.engines import engine_of
from sandbox.hostile.table import CASES as ATTACKS
from sandbox.probe.aimed import AimedBackend
from sandbox.run import Isolation

EXIT_CASE_FAILED = 1
EXIT_UNUSABLE = 2
ALL = "all"
ISOLATIONS = tuple(isolation.value for isolation in Isolation if isolation is not Isolation.NONE)
NAMES = {*(case.name for case in PROMISES), *(case.name for case in ATTACKS)}


@click.command()
@click.option(
    "--backend", "name", type=click.Choice([name.value for name in BackendName]), required=True
)
@click.option(
    "--suite",
    type=click.Choice([*SUITES, ALL]),
    default="conformance",
    show_default=True,
    help="What to try; `hostile` takes a minute or two.",
)
@click.option("--isolation", type=click.Choice(ISOLATIONS), help="[the backend's own]")
@click.option("--runtime", help="Container runtime, as `runsc`; only for docker.")
@click.option(
    "--image",
    help=f"What directory graders run in; for docker, but not box.  [{GRADER_BASE_IMAGE}]",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to this file as JSON.",
)
@click.option(
    "--case",
    "wanted",
    multiple=True,
    metavar="NAME",
    help="Only this case of the suites; may be given again.",
)
@click.option("--at-once", type=click.IntRange(1), help="Cases at a time [number of cores].")
def main(
    name: str,
    suite: str,
    isolation: str | None,
    runtime: str | None,
    image: str | None,
    report: Path | None,
    wanted: tuple[str, ...],
    at_once: int | None,
) -> None:
    """Try on this very host what its sandbox promises.

    Ends with 0 when every case passed or deviates in a way that is known, 1 when one failed or
    something was left behind, 2 when the backend cannot be used or asked for.
    """
    unknown = sorted(set(wanted) - NAMES)
    if unknown:
        raise click.UsageError(f"no case is named {', '.join(unknown)}")
    chosen = Isolation(isolation) if isolation else None
    if image and chosen is Isolation.BOX:
        raise click.UsageError("--image is not for --isolation box, which has images of its own")
    try:
        engine = engine_of(BackendName(name), chosen, runtime)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    logging.getLogger("sandbox").addHandler(logging.NullHandler())

    def opened() -> SandboxBackend:
        backend = open_backend(name, base_image=image or GRADER_BASE_IMAGE)
        return AimedBackend(backend, isolation=chosen, runtime=runtime)

    description = _described(opened)
    suites = SUITES if suite == ALL else (suite,)
    made = Report(
        made_at=datetime.now(UTC),
        engine=engine.value,
        host=_facts(name, runtime, image or _image_for(chosen)),
        backend=description,
        suites={
            one: list(_shown(try_suite(one, opened, engine, wanted, at_once or _cores())))
            for one in suites
        },
    )
    _finish(made, report)


def _cores() -> int:
    return os.cpu_count() or 1


def _image_for(isolation: Isolation | None) -> str:
    if isolation is Isolation.BOX:
        return SlotSettings().images.format(base="python")
    return GRADER_BASE_IMAGE


def _facts(name: str, runtime: str | None, image: str) -> HostFacts:
    is_docker = BackendName(name) is BackendName.DOCKER
    return facts_of_engine(runtime, image) if is_docker else facts_of_this_host()


def _described(opened: Callable[[], SandboxBackend]) -> BackendDescription:
    """Ends the program when the backend cannot be used."""
    with closing(opened()) as backend:
        health = backend.check()
        for problem in health.problems:
            click.echo(f"the backend cannot be used: {problem}", err=True)
        if not health.healthy:
            sys.exit(EXIT_UNUSABLE)
        return backend.describe()


def _shown(results: Iterator[CaseResult]) -> Iterator[CaseResult]:
    for result in results:
        click.echo(as_line(result))
        if result.outcome in (CaseOutcome.FAILED, CaseOutcome.NOT_TRIED):
            click.echo(f"          {result.detail}")
        yield result


def _finish(made: Report, path: Path | None) -> None:
    click.echo(f"\n{as_text(made)}")
    if path is not None:
        path.write_text(as_json(made))
    if made.failed:
        sys.exit(EXIT_CASE_FAILED)

"""`sandbox-check`: tells an operator whether this host holds hostile code, case by case."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sandbox.backend import BackendDescription, SandboxBackend
from sandbox.backends.docker import GRADER_BASE_IMAGE
from sandbox.conformance import CaseOutcome, CaseResult, run_conformance
from sandbox.conformance_cases import CASES
from sandbox.factory import BackendName, open_backend

EXIT_CASE_FAILED = 1
EXIT_UNUSABLE = 2
MARKS = {
    CaseOutcome.PASSED: "ok      ",
    CaseOutcome.FAILED: "FAILED  ",
    CaseOutcome.NOT_ENFORCED: "missing ",
}


@click.command()
@click.option(
    "--backend", "name", type=click.Choice([name.value for name in BackendName]), required=True
)
@click.option(
    "--image",
    default=GRADER_BASE_IMAGE,
    show_default=True,
    help="What directory graders run in; only for docker.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the results to this file as JSON.",
)
@click.option(
    "--case",
    "wanted",
    multiple=True,
    type=click.Choice([case.name for case in CASES]),
    help="Only this case; may be given again.",
)
def main(name: str, image: str, report: Path | None, wanted: tuple[str, ...]) -> None:
    """Run the conformance suite on this host.

    Ends with 0 when every case passed, 1 when one failed, 2 when the backend cannot be used.
    """
    cases = [case for case in CASES if not wanted or case.name in wanted]
    backend = open_backend(name, base_image=image)
    try:
        _require_usable(backend)
        results = [_shown(result) for result in run_conformance(backend, cases)]
        description = backend.describe()
    finally:
        backend.close()
    _summarize(results, description)
    if report is not None:
        report.write_text(_as_json(results, description))
    if any(result.outcome is CaseOutcome.FAILED for result in results):
        sys.exit(EXIT_CASE_FAILED)


def _require_usable(backend: SandboxBackend) -> None:
    health = backend.check()
    for problem in health.problems:
        click.echo(f"the backend cannot be used: {problem}", err=True)
    if not health.healthy:
        sys.exit(EXIT_UNUSABLE)


def _shown(result: CaseResult) -> CaseResult:
    click.echo(
        f"{MARKS[result.outcome]}{result.name:<24}{result.took_ms:>8.0f} ms  {result.promise}"
    )
    if result.outcome is CaseOutcome.FAILED:
        click.echo(f"        instead: {result.detail}")
    return result


def _summarize(results: Sequence[CaseResult], description: BackendDescription) -> None:
    passed = sum(result.outcome is CaseOutcome.PASSED for result in results)
    click.echo(
        f"\n{description.name} {description.version}: {passed} of {len(results)} cases passed"
    )
    unenforced = [*description.unenforced, *_missing(results)]
    click.echo("NOT enforced on this host:" if unenforced else "Every limit is enforced.")
    for sentence in unenforced:
        click.echo(f"  - {sentence}")


def _missing(results: Sequence[CaseResult]) -> list[str]:
    return [
        f"{result.name}: {result.detail}"
        for result in results
        if result.outcome is CaseOutcome.NOT_ENFORCED
    ]


def _as_json(results: Sequence[CaseResult], description: BackendDescription) -> str:
    content = {
        "backend": dataclasses.asdict(description),
        "cases": [dataclasses.asdict(result) for result in results],
    }
    return json.dumps(content, indent=2) + "\n"

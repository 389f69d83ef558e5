"""`graders check`: does the grader grade its own samples as it says?"""

from __future__ import annotations

from pathlib import Path

import click

from graders.checking import Finding, Kind, check_grader
from graders.cli import options
from graders.local_sandbox import base_of, open_local_sandbox
from graders.reply.text import tame_text

MARKS = {Kind.OK: "ok     ", Kind.ERROR: "ERROR  ", Kind.WARNING: "warning"}


@click.command(name="check")
@options.grader_directory
@options.local_backend
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def command(directory: Path, backend: str | None, strict: bool) -> None:
    """Grade the samples of the grader in DIRECTORY, each twice, and an empty answer.

    Errors: a sample that is graded otherwise than declared, two runs that do not agree, a test that
    an empty answer passes. Warnings: tests that no incorrect sample fails.
    """
    sandbox = open_local_sandbox(backend, base=base_of(directory))
    click.echo(f"Checking {directory} {sandbox.why}.", err=True)
    try:
        findings = check_grader(directory, sandbox.backend, _progress)
    finally:
        sandbox.backend.close()
    for finding in findings:
        click.echo(_line(finding))
    count = {kind: sum(finding.kind is kind for finding in findings) for kind in Kind}
    click.echo(f"{count[Kind.ERROR]} errors, {count[Kind.WARNING]} warnings.")
    if count[Kind.ERROR] or (strict and count[Kind.WARNING]):
        raise SystemExit(1)


def _progress(what: str) -> None:
    click.echo(f"  grading {what}", err=True)


def _line(finding: Finding) -> str:
    text = tame_text(finding.text, limit_chars=3000).replace("\n", "\n           ")
    return f"{MARKS[finding.kind]} {finding.about}: {text}"

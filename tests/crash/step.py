"""A step of one of our programs, at which it is killed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

COMMIT = "sqlalchemy.engine.default.DefaultDialect.do_commit"
HTTP_ANSWERED = "gunicorn.workers.gthread.ThreadWorker.handle_request"
"""After it, the answer is with the client's kernel."""
READING_ANSWER = "http.client.HTTPConnection.getresponse"
"""Before it, our request is with the peer's kernel, which may or may not have acted on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The options of `dying`; `name` completes "killed ..."."""

    name: str
    when: str
    at: str
    within: str | None = None
    armed_by: str | None = None
    alone: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def options(self, marker: Path) -> list[str]:
        options = ["--at", self.at, "--when", self.when, "--marker", str(marker)]
        if self.within:
            options += ["--within", self.within]
        if self.armed_by:
            options += ["--armed-by", self.armed_by]
        return [*options, "--alone"] if self.alone else options


def before(at: str, name: str, *, within: str | None = None, alone: bool = False) -> Step:
    return Step(name=f"before {name}", when="before", at=at, within=within, alone=alone)


def after(
    at: str,
    name: str,
    *,
    within: str | None = None,
    armed_by: str | None = None,
    alone: bool = False,
) -> Step:
    return Step(
        name=f"after {name}", when="after", at=at, within=within, armed_by=armed_by, alone=alone
    )


def around(at: str, name: str, *, within: str | None = None) -> tuple[Step, Step]:
    return before(at, name, within=within), after(at, name, within=within)


def around_commit(within: str, name: str = "the commit") -> tuple[Step, Step]:
    return around(COMMIT, name, within=within)


def cases(*steps: Step) -> pytest.MarkDecorator:
    """A test for each step on SQLite, and on PostgreSQL too where a transaction is to end."""
    listed = [(database, step) for step in steps for database in databases_of(step)]
    return pytest.mark.parametrize(
        ("stack", "step"),
        [pytest.param(*case, id=f"{case[1]}-{case[0]}") for case in listed],
        indirect=["stack"],
    )


def databases_of(step: Step) -> tuple[str, ...]:
    return ("sqlite", "postgresql") if step.at == COMMIT else ("sqlite",)

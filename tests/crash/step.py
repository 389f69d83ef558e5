"""A step of one of our programs, at which it is killed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

COMMIT = "sqlalchemy.engine.default.DefaultDialect.do_commit"
STATEMENT = "sqlalchemy.engine.default.DefaultDialect.do_execute"
"""On PostgreSQL a change that is one statement commits by itself."""
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
    databases: tuple[str, ...] = ("sqlite",)

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
    """Where a transaction ends, on both databases."""
    first, second = around(COMMIT, name, within=within)
    both = ("sqlite", "postgresql")
    return replace(first, databases=both), replace(second, databases=both)


def around_next_commit(armed_by: str, name: str) -> tuple[Step, Step]:
    """Of the transaction that has just done this, whoever opened it."""
    first, second = around(COMMIT, name)
    return replace(first, armed_by=armed_by), replace(second, armed_by=armed_by)


def around_change(
    within: str, name: str, *, statement_of: str
) -> tuple[tuple[Step, Step], tuple[Step, Step]]:
    """The same for a change that is a transaction on SQLite and one statement on PostgreSQL.

    Gives the steps before it and the steps after it.
    """
    before_commit, after_commit = around(COMMIT, f"the commit of {name}", within=within)
    first, second = around(STATEMENT, f"the statement of {name}", within=statement_of)
    postgres = ("postgresql",)
    return (
        (before_commit, replace(first, databases=postgres)),
        (after_commit, replace(second, databases=postgres)),
    )


def cases(*steps: Step) -> pytest.MarkDecorator:
    """A test for each step on each of its databases."""
    listed = [(database, step) for step in steps for database in step.databases]
    return pytest.mark.parametrize(
        ("stack", "step"),
        [pytest.param(*case, id=f"{case[1]}-{case[0]}") for case in listed],
        indirect=["stack"],
    )

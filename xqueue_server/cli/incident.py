"""`xqueue-server incident`: what was seen during attempts."""

from __future__ import annotations

from datetime import datetime

import click

from proctoring_hooks import reporting
from proctoring_hooks.incidents import NewIncident, Source
from xqueue_server.cli.environment import actor
from xqueue_server.cli.exam_store import exam_store, looked
from xqueue_server.cli.moment import Moment
from xqueue_server.cli.output import json_option, show_json, show_table
from xqueue_server.cli.paging import ROW_ID

LONGEST = 128
ATTEMPT_ID = click.argument("attempt_id", metavar="ATTEMPT", type=ROW_ID)


@click.group()
def incident() -> None:
    """Report and list incidents."""


@incident.command()
@ATTEMPT_ID
@click.option("--id", "incident_id", required=True, help="The same one again changes nothing.")
@click.option("--kind", required=True, help='In a word or two: "second person".')
@click.option("--severity", required=True, type=click.FloatRange(0, 1), help="0 to 1.")
@click.option("--at", type=Moment(), help="When it happened. [default: now]")
@click.option("--detail", default="", help="For those who judge.")
def add(
    attempt_id: int,
    incident_id: str,
    kind: str,
    severity: float,
    at: datetime | None,
    detail: str,
) -> None:
    """Report an incident of ATTEMPT; the exam's policy is carried out."""
    for name, text in (("--id", incident_id), ("--kind", kind)):
        if not 0 < len(text) <= LONGEST or not text.isprintable():
            raise click.BadParameter(f"{name} has 1 to {LONGEST} printable characters")
    with exam_store() as store, store.write() as session:
        found = reporting.report(
            session,
            NewIncident(
                attempt_id=attempt_id,
                incident_id=incident_id,
                source=Source.PROCTOR,
                kind=kind,
                severity=severity,
                happened_at=at or session.now,
                detail=detail,
                reported_by=actor(),
            ),
        )
        status = session.attempts.get(attempt_id).status
    if found is None:
        click.echo(f"Attempt {attempt_id} has this incident already")
        return
    strike = "no strike" if found.strike is None else f"strike {found.strike}"
    follows = ", ".join(found.consequences) or "nothing follows"
    click.echo(f"Attempt {attempt_id} is {status}: {strike}, {follows}")


@incident.command("list")
@ATTEMPT_ID
@json_option
def list_incidents(attempt_id: int, as_json: bool) -> None:
    """List the incidents of ATTEMPT, the oldest first."""
    with exam_store() as store:
        with store.read() as session:
            session.attempts.get(attempt_id)
            found = session.records.incidents(attempt_id)
        looked(store, f"attempt {attempt_id}")
    if as_json:
        show_json(found)
        return
    show_table(
        ["AT", "ID", "FROM", "KIND", "SEVERITY", "STRIKE", "CONSEQUENCES"],
        [
            (
                each.happened_at,
                each.incident_id,
                each.source,
                each.kind,
                each.severity,
                each.strike,
                ", ".join(each.consequences),
            )
            for each in found
        ],
    )

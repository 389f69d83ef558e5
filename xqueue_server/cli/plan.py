"""`xqueue-server plan`: how many workers a deadline needs, hour by hour."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import click

from xqueue_server.capacity.plan import Step
from xqueue_server.capacity.policy import Aims
from xqueue_server.cli.environment import database
from xqueue_server.cli.expected import MOST, learner_options
from xqueue_server.cli.moment import Moment
from xqueue_server.cli.output import json_option, show_json, show_section, show_table, when
from xqueue_server.workload.planning import Input, Planned, Question, plan_for


@click.command()
@click.option("--queue", required=True)
@click.option(
    "--deadline", required=True, type=Moment(), help="The deadline (ISO 8601, with an offset)."
)
@learner_options(required=True)
@click.option("--opens", type=Moment(), help="From when one can submit. [default: a week before]")
@click.option(
    "--service-s",
    type=click.FloatRange(0.01, 86_400),
    help="Seconds of one grading. [default: the queue's history]",
)
@click.option(
    "--target-s",
    type=click.FloatRange(1, 86_400),
    default=30.0,
    show_default=True,
    help="What at most 5 % may wait longer than.",
)
@click.option(
    "--d0",
    type=click.FloatRange(1, 240),
    help="How sharp the rush is, in minutes; less is sharper. [default: fitted to past deadlines]",
)
@json_option
def plan(
    queue: str,
    deadline: datetime,
    learners: int,
    each: int,
    opens: datetime | None,
    service_s: float | None,
    target_s: float,
    d0: float | None,
    as_json: bool,
) -> None:
    """Print the workers that a deadline needs by hour, what learners then wait, and what it costs.

    Nothing is changed; `xqueue-server deadline add` tells the server of it.
    """
    if opens is not None and opens >= deadline:
        raise click.UsageError("--opens must be before --deadline.")
    if learners * each > MOST:
        raise click.UsageError(f"At most {MOST:,} submissions.")
    question = Question(
        queue=queue,
        deadline=deadline,
        submissions=learners * each,
        opens_at=opens,
        service_s=service_s,
        d0_min=d0,
        aims=Aims(target_s=target_s),
    )
    with database() as storage:
        planned = plan_for(storage, question)
    if as_json:
        show_json(_as_object(planned))
    else:
        _show(planned)


def _show(planned: Planned) -> None:
    found = planned.plan
    show_table(
        ["FROM", "TO", "SUBMISSIONS", "PEAK/MIN", "WORKERS", "P95 WAIT", "WORKER-HOURS"],
        [_line(each) for each in _joined(found.steps)],
    )
    click.echo(
        f"\n{found.most_workers} workers at most, {found.worker_hours:.1f} worker-hours; "
        f"{found.worker_hours_at_most_workers:.1f} if so many were there all the time."
    )
    show_section("Rests on", lambda: show_table(["INPUT", "VALUE", "FROM"], _inputs(planned)))


def _joined(steps: Any) -> list[list[Step]]:
    """Neighbours with the same number of workers make one line."""
    return [list(group) for _, group in groupby(steps, key=lambda step: step.workers)]


def _line(steps: list[Step]) -> tuple[object, ...]:
    return (
        _moment(steps[0].from_s),
        _moment(steps[-1].to_s),
        round(sum(each.expected for each in steps)),
        f"{max(each.peak_per_min for each in steps):.1f}",
        steps[0].workers,
        f"{max(each.wait_p95_s for each in steps):.0f} s",
        f"{sum(each.worker_hours for each in steps):.1f}",
    )


def _inputs(planned: Planned) -> list[tuple[object, ...]]:
    return [(each.name, f"{each.value:.4g}", each.source) for each in planned.inputs]


def _as_object(planned: Planned) -> dict[str, object]:
    found = planned.plan
    return {
        "steps": [
            dataclasses.asdict(step)
            | {
                "from": _moment(step.from_s),
                "to": _moment(step.to_s),
                "worker_hours": step.worker_hours,
            }
            for step in found.steps
        ],
        "workers": found.most_workers,
        "worker_hours": found.worker_hours,
        "worker_hours_at_most_workers": found.worker_hours_at_most_workers,
        "inputs": {each.name: _input(each) for each in planned.inputs},
    }


def _input(given: Input) -> dict[str, object]:
    return {"value": given.value, "source": given.source}


def _moment(seconds: float) -> str:
    return when(datetime.fromtimestamp(seconds, UTC))

"""Everything that is kept about one submission, except what the learner wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import click

from xqueue_server.cli.callback_view import (
    CallbackView,
    show_attempts,
    show_callbacks,
)
from xqueue_server.cli.event_table import show_events
from xqueue_server.cli.output import (
    FORGEABLE_MARK,
    printable,
    show_facts,
    show_section,
    show_table,
    size,
)
from xqueue_server.instant import SECOND_US
from xqueue_server.models.submission import Submission, SubmissionState
from xqueue_server.storage import Transaction, submissions
from xqueue_server.storage.events import Event
from xqueue_server.storage.lease_graders import HandedOut
from xqueue_server.storage.results import Result
from xqueue_server.submissions import timeline
from xqueue_server.submissions.line import COUNTED_UP_TO, position
from xqueue_server.submissions.timeline import Story

_KEYS = frozenset({"lms_key", "lease_key", "accepted_key"})
"""Of no use to people; whoever knows the LMS's may post a grade of his own to it."""
_INNER = frozenset({"turn", "is_capped", "is_blocked"})
"""Told by its place in the line."""


def facts_of(submission: Submission) -> dict[str, object]:
    """The row as it is shown."""
    row = dataclasses.asdict(submission)
    return {name: value for name, value in row.items() if name not in _KEYS | _INNER}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionView:
    submission: Submission
    body_bytes: int
    file_bytes: Sequence[int]
    events: Sequence[Event]
    results: Sequence[Result]
    callbacks: Sequence[CallbackView]
    story: Story
    position: int | None
    """In its line, see `line`; None: not in it."""
    graders: Sequence[HandedOut]
    """Which published grader each attempt was handed out with."""

    def as_object(self, *, with_result: bool) -> dict[str, object]:
        return facts_of(self.submission) | {
            "position": self.position,
            "is_blocked": self.submission.is_blocked,
            "body_bytes": self.body_bytes,
            "file_bytes": self.file_bytes,
            "events": self.events,
            "results": [_result_object(r, with_result) for r in self.results],
            "callbacks": [c.as_object() for c in self.callbacks],
            "graders": [
                {
                    "attempt": g.attempt,
                    "grader": g.grader,
                    "version": g.version,
                    "isolation": g.isolation,
                    "forgeable": g.is_forgeable,
                    "at": g.at,
                }
                for g in self.graders
            ],
            "forgeable": self.is_forgeable,
            **self.story.as_object(),
        }

    @property
    def is_forgeable(self) -> bool:
        """Some attempt ran, or may have run, where the learner's code can write its grade."""
        return any(g.is_forgeable for g in self.graders) or any(r.forgeable for r in self.results)

    def show(self, *, with_result: bool) -> None:
        self._show_facts()
        if self.graders:
            show_section("Graders", self._show_graders)
        show_section("Timeline", lambda: show_events(self.events))
        show_section("Results", self._show_results)
        if self.story.regrades:
            show_section("Regrades", self._show_regrades)
        if self.story.timings:
            show_section("Timings", self._show_timings)
        if with_result:
            self._show_bodies()
        show_section("Callbacks", lambda: show_callbacks([c.callback for c in self.callbacks]))
        for found in self.callbacks:
            show_section(f"Tries of callback {found.callback.id}", _attempts_shown(found))

    def _show_facts(self) -> None:
        row = facts_of(self.submission)
        facts = [(name.replace("_", " "), value) for name, value in row.items()]
        files = f", files of {', '.join(map(size, self.file_bytes))}" if self.file_bytes else ""
        facts.append(("place in line", self._place()))
        facts.append(("contents", f"body of {size(self.body_bytes)}{files}"))
        if self.is_forgeable:
            facts.append(("mark", FORGEABLE_MARK))
        facts.append(("now", self.story.reason.sentence))
        facts.append(("next step", self.story.reason.next_step))
        show_facts(facts)

    def _place(self) -> str | None:
        if self.position is not None:
            is_counted = self.position <= COUNTED_UP_TO
            return str(self.position) if is_counted else f"more than {COUNTED_UP_TO}"
        if self.submission.is_blocked:
            return "none: its learner has as many in line as the queue's learner cap allows"
        if self.submission.state is SubmissionState.QUEUED:
            return "none: it waits out a back-off"
        return None

    def _show_graders(self) -> None:
        show_table(
            ["ATTEMPT", "GRADER", "VERSION", "ISOLATION", "AT", "MARK"],
            [
                (
                    g.attempt,
                    g.grader,
                    g.version or "trial",
                    g.isolation,
                    g.at,
                    FORGEABLE_MARK if g.is_forgeable else None,
                )
                for g in self.graders
            ],
        )

    def _show_results(self) -> None:
        show_table(
            ["ID", "RECEIVED", "BY", "DISPOSITION", "SIZE", "MARK"],
            [
                (
                    r.id,
                    r.received_at,
                    r.sent_by,
                    r.disposition,
                    size(len(r.body.encode())),
                    FORGEABLE_MARK if r.forgeable else None,
                )
                for r in self.results
            ],
        )

    def _show_regrades(self) -> None:
        show_table(
            ["BATCH", "STATE", "OLD", "NEW", "LMS HAD OLD", "FINISHED", "DETAIL"],
            [
                (
                    r.batch_id,
                    r.state,
                    r.old_score,
                    r.new_score,
                    r.lms_had_it,
                    r.finished_at,
                    r.detail,
                )
                for r in self.story.regrades
            ],
        )

    def _show_timings(self) -> None:
        show_table(
            ["ATTEMPT", "LEASED", "WAITED", "GRADING", "PREPARING", "RUNNING", "DELIVERING"],
            [
                (
                    t.attempt,
                    t.leased_at,
                    *map(_seconds, (t.wait_us, t.service_us, t.prepare_us, t.run_us, t.deliver_us)),
                )
                for t in self.story.timings
            ],
        )

    def _show_bodies(self) -> None:
        for result in self.results:
            click.echo(f"\nResult {result.id} in full")
            click.echo("\n".join(printable(line) for line in result.body.splitlines()))


def view(tx: Transaction, submission_id: int) -> SubmissionView:
    """Raises: NotFound."""
    story = timeline.story(tx, submission_id)
    contents = submissions.contents_of(tx, submission_id)
    return SubmissionView(
        story=story,
        submission=story.submission,
        body_bytes=len(contents.body.encode()),
        file_bytes=[f.size_bytes for f in contents.files],
        events=story.events,
        position=position(tx, submission_id),
        graders=story.graders,
        results=story.results,
        callbacks=[CallbackView(callback=s.callback, attempts=s.attempts) for s in story.sendings],
    )


def _seconds(amount_us: int | None) -> str | None:
    return None if amount_us is None else f"{amount_us / SECOND_US:.3f} s"


def _result_object(result: Result, with_body: bool) -> dict[str, object]:
    shown: dict[str, object] = dataclasses.asdict(result)
    body = str(shown.pop("body"))
    shown["body_bytes"] = len(body.encode())
    return shown | ({"body": body} if with_body else {})


def _attempts_shown(found: CallbackView) -> Callable[[], None]:
    return lambda: show_attempts(found.attempts)

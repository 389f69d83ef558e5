"""Where on these pages the next step of a reason is done; the command line has its own words."""

from __future__ import annotations

from dataclasses import dataclass

from xqueue_server.models.submission import Submission
from xqueue_server.submissions.why_waiting import Reason, ReasonCode
from xqueue_server.web.admin.paths import at

_C = ReasonCode
HELD = frozenset({_C.HELD_ATTEMPTS, _C.HELD_GRADER, _C.HELD_INVALID_RESULT, _C.HELD_PLATFORM})
OVER = frozenset({_C.GRADED, _C.GRADED_AND_DELIVERED, _C.SUPERSEDED, _C.GIVEN_UP})


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    text: str
    href: str | None = None
    """None: nothing is to be done, or not here."""


def next_step(reason: Reason, submission: Submission) -> NextStep | None:
    """None where all is as it should be, or goes on by itself."""
    queue = submission.queue
    steps = {
        _C.PAUSED: NextStep(text="Resume the queue", href=at("queues", queue)),
        _C.NO_WORKER: NextStep(text="Look at the workers", href=at("workers")),
        _C.CANARY_FAILED: NextStep(text="Look at the hosts", href=at("workers")),
        _C.IMAGE_NOT_READY: NextStep(text="Look at the grader", href=at("queues", queue)),
        _C.BACKING_OFF: NextStep(text="Look at the hosts", href=at("workers")),
        _C.DEAD_LETTER: NextStep(
            text="Mend the cause, then send it again", href=at("submissions", submission.id)
        ),
        _C.LMS_REFUSING: NextStep(
            text="Read what the LMS said", href=at("submissions", submission.id)
        ),
        _C.BREAKER_OPEN: NextStep(
            text="Look at what waits for it", href=at("callbacks", state="pending")
        ),
    }
    if reason.code in HELD:
        return NextStep(
            text="Mend the cause (see faults), then release it", href=at("faults", queue=queue)
        )
    return steps.get(reason.code)

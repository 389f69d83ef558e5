"""`make demo`: three learners submit, their grades arrive at the LMS, and each is checked."""

from __future__ import annotations

import html
import re
import tempfile
import time
from pathlib import Path

from deploy.demo.capa import CapaClient
from deploy.demo.course import ATTEMPTS, Attempt, grader_payload
from deploy.demo.gradebook import InputState, InputStatus
from deploy.demo.lms import StandInLms
from deploy.demo.processes import ProcessFailed
from deploy.demo.stack import QUEUE, DemoStack

GRADE_S = 90.0
LOOK_FOR_HELD_S = 5.0
SUMMARY_CHARS = 150


def prove() -> int:
    """Exit status: 0 if every learner got the grade they deserve."""
    with tempfile.TemporaryDirectory(prefix="xqueue-demo-") as directory, StandInLms() as lms:
        print("Starting queue server, delivery, sandbox and worker ...", flush=True)
        began = time.monotonic()
        with DemoStack(Path(directory), on_failure=lms.book.notify) as stack:
            stack.start()
            print(f"Ready after {time.monotonic() - began:.1f} s: queue {stack.url}, ", end="")
            print(f"stand-in LMS {lms.origin}\n", flush=True)
            wrong = [a.title for a in ATTEMPTS if not _is_graded_right(a, lms, stack)]
    print(f"FAILED: {', '.join(wrong)}" if wrong else "All three grades are what they should be.")
    return 1 if wrong else 0


def _is_graded_right(attempt: Attempt, lms: StandInLms, stack: DemoStack) -> bool:
    """Raises ProcessFailed if it was not graded at all."""
    print(f"Learner {attempt.learner} submits {attempt.title}:")
    print("\n".join(f"    | {line}" for line in attempt.answer.splitlines()), flush=True)
    began = time.monotonic()
    _submit(attempt, lms, stack)
    state = _wait_for_grade(attempt, lms, stack)
    verdict = "as expected" if attempt.is_right(state) else f"WRONG: expected {attempt.expected}"
    score = f"{state.score or 0:.2g} of 1"
    print(f"  graded {state.status}, {score}, after {time.monotonic() - began:.1f} s")
    print(f"  learner reads: {_summary(state)}")
    print(f"  {verdict}\n", flush=True)
    return attempt.is_right(state)


def _submit(attempt: Attempt, lms: StandInLms, stack: DemoStack) -> None:
    account = stack.lms_account
    client = CapaClient(url=stack.url, username=account.name, password=account.password)
    reply = lms.submit(
        attempt.where,
        attempt.answer,
        client=client,
        queue=QUEUE,
        grader_payload=grader_payload(attempt.problem),
    )
    if not reply.accepted:
        raise ProcessFailed(f"the queue did not take the submission: {reply.content}")


def _wait_for_grade(attempt: Attempt, lms: StandInLms, stack: DemoStack) -> InputState:
    def is_settled() -> bool:
        return _is_graded(attempt, lms) or stack.failed_process() is not None

    deadline = time.monotonic() + GRADE_S
    while not lms.book.wait_until(is_settled, LOOK_FOR_HELD_S):
        held = stack.held_submission()
        if held is not None:
            raise ProcessFailed(f"the submission was held, not graded:\n{held}")
        if time.monotonic() > deadline:
            raise ProcessFailed(f"no grade in {GRADE_S:.0f} s; the logs:\n{stack.log_tails()}")
    failed = stack.failed_process()
    if failed is not None and not _is_graded(attempt, lms):
        raise failed.failure("is gone")
    return lms.state(attempt.where)


def _is_graded(attempt: Attempt, lms: StandInLms) -> bool:
    return lms.state(attempt.where).status is not InputStatus.PENDING


def _summary(state: InputState) -> str:
    text = html.unescape(re.sub(r"<[^>]*>", " ", state.msg))
    text = " ".join(text.split())
    return text if len(text) <= SUMMARY_CHARS else text[:SUMMARY_CHARS] + " ..."

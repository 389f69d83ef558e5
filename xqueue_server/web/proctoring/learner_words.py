"""What an attempt's status means to the learner, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from proctoring_hooks.exam import ClockOwner, Readying, Reviewing, Terms
from proctoring_hooks.statuses import (
    BEFORE_START,
    IN_PROGRESS,
    JUDGED,
    ONBOARDING_REFUSED,
    Status,
)
from xqueue_server.storage.proctoring.pages import LearnersView

_S = Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    title: str
    text: str


_WORDS = {
    _S.READY_TO_START: Words(
        title="You may start",
        text="Go back to your course and start the exam there. The clock starts when you do.",
    ),
    _S.STARTED: Words(
        title="Your exam is running",
        text="Write it in your course, and submit there before the time is over. Leave this page "
        "open, or close it: that changes nothing.",
    ),
    _S.READY_TO_SUBMIT: Words(
        title="Your exam is running",
        text="You have asked to end it. The clock runs until you submit in your course.",
    ),
    _S.DECLINED: Words(
        title="You take this exam without proctoring",
        text="Nobody watches this attempt. Your course says what that means for you.",
    ),
    _S.SUBMITTED: Words(
        title="Your exam is submitted",
        text="You can write no more. It is now waiting to be reviewed.",
    ),
    _S.SECOND_REVIEW_REQUIRED: Words(
        title="A person will look at your exam",
        text="It has ended. Something needs to be looked at by a person before it is decided; "
        "nothing is decided yet.",
    ),
    _S.VERIFIED: Words(title="Your exam has passed the review", text="There is nothing to do."),
    _S.REJECTED: Words(
        title="Your exam did not pass the review",
        text="A person has decided that. Ask your course team if you think that it is wrong: they "
        "can have it reviewed again.",
    ),
    _S.ERROR: Words(
        title="Your exam broke off",
        text="There was a technical failure. What you have submitted is kept. Tell your course "
        "team: they can let you go on with the time that was left.",
    ),
    _S.EXPIRED: Words(title="This exam is over", text="It can not be started any more."),
    _S.ONBOARDING_RESET: Words(
        title="You have begun anew", text="This practice attempt was replaced by another."
    ),
}
_REJECTED_BY_MACHINE = Words(
    title="Your exam did not pass the review",
    text="No person has decided that yet. Ask your course team if you think that it is wrong, or "
    "what to do next.",
)
_PASSED_UNSEEN = Words(
    title="Your exam is accepted",
    text="Nobody reviews attempts at this exam. There is nothing to do.",
)
_UNPROCTORED_END = Words(title="Your exam is submitted", text="You can write no more.")
_MAY_GO_ON = Words(
    title="You may go on",
    text="Your course team lets you continue. Go back to your course and start again; you have the "
    "time that was left.",
)
_ONBOARDING = Words(
    title="First the practice exam",
    text="You must pass the onboarding exam of your course before this one.",
)
_WAITING_FOR_PAGE = Words(
    title="Not ready yet",
    text="This page checks your browser. When it is done you can start in your course.",
)
_WAITING_FOR_PROCTOR = Words(
    title="Wait for the proctor",
    text="A proctor will let you start. This page tells you when; you need not reload it.",
)
_WAITING_FOR_PROVIDER = Words(
    title="Not ready yet",
    text="Follow what the proctoring software asks of you. This page tells you when you can start.",
)
_UNPROCTORED = Words(title="You may start", text="Go back to your course and start the exam there.")


def is_readied_here(view: LearnersView) -> bool:
    """Whether opening the page lets the learner start: where we are the provider, and the course
    team asks for no more."""
    return (
        view.status in (_S.CREATED, _S.DOWNLOAD_SOFTWARE_CLICKED)
        and view.is_proctored
        and is_watched_by_us(view.terms, view.clock_owner)
        and view.terms.readying is Readying.PAGE
    )


def is_watched_by_us(terms: Terms, clock_owner: ClockOwner) -> bool:
    """An LMS that keeps the attempt has chosen us; else a provider may be named."""
    return clock_owner is ClockOwner.LMS or not terms.provider


def is_auto_pass(view: LearnersView) -> bool:
    """Whether attempts at it pass without anybody looking."""
    is_ours = view.clock_owner is ClockOwner.US and view.is_proctored and not view.terms.provider
    return is_ours and view.terms.review is Reviewing.AUTO_PASS


def words_of(view: LearnersView) -> Words:
    status = view.status
    if status in ONBOARDING_REFUSED:
        return _ONBOARDING
    if status is _S.ERROR and view.ready_to_resume:
        return _MAY_GO_ON
    if status is _S.REJECTED and not view.is_judged_by_a_person:
        return _REJECTED_BY_MACHINE
    if status is _S.VERIFIED and is_auto_pass(view) and not view.is_judged_by_a_person:
        return _PASSED_UNSEEN
    if status in (_S.SUBMITTED, _S.TIMED_OUT):
        return _WORDS[_S.SUBMITTED] if view.is_proctored else _UNPROCTORED_END
    if status in BEFORE_START - {_S.READY_TO_START}:
        return _before(view)
    return _WORDS.get(status) or Words(title=status.replace("_", " "), text="")


def _before(view: LearnersView) -> Words:
    if not view.is_proctored:
        return _UNPROCTORED
    if not is_watched_by_us(view.terms, view.clock_owner):
        return _WAITING_FOR_PROVIDER
    if view.terms.readying is Readying.PROCTOR:
        return _WAITING_FOR_PROCTOR
    return _WAITING_FOR_PAGE


def grades_of(view: LearnersView) -> list[str]:
    """What became of the grades of what was submitted, in sentences."""
    said = []
    if view.released:
        said.append(f"{_answers(view.released)} graded and sent to your course.")
    if view.waiting:
        until = "you submit the exam" if view.terms.release == "on_submit" else "it is reviewed"
        said.append(f"{_answers(view.waiting)} stored; the grade is shown when {until}.")
    if view.flagged:
        said.append(
            f"{_answers(view.flagged)} stored, but came late or outside of the exam: "
            "your course team decides."
        )
    if view.withheld:
        said.append(
            f"{_answers(view.withheld)} stored, but the course does not get the grade: this "
            "attempt or this answer was not accepted. Ask your course team if you think that it is "
            "wrong."
        )
    if view.mark_factor != 1:
        counted = f"Marks of this attempt count {view.mark_factor:.0%}"
        if view.status in JUDGED:
            said.append(f"{counted}. If you think that is wrong, ask your course team.")
        else:
            said.append(f"{counted} for now; a person looks at that.")
    return said


def _answers(count: int) -> str:
    return "One answer is" if count == 1 else f"{count} answers are"


def warnings_of(view: LearnersView) -> list[str]:
    if not view.warnings:
        return []
    count = "one warning" if view.warnings == 1 else f"{view.warnings} warnings"
    return [f"You have {count}. The latest: {view.warned_of}."]


def is_over(view: LearnersView) -> bool:
    return view.status not in BEFORE_START | IN_PROGRESS

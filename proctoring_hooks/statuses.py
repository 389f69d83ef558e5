"""The statuses of an exam attempt, by the names that both Open edX systems store and send.

edx-proctoring has all of them, edx-exams those without a remark. What one of them means to a
learner's clock and to a grade is said here once; who may change which is in `transitions`.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    ELIGIBLE = "eligible"
    """Only in answers of edx-proctoring; nothing leads here."""
    CREATED = "created"
    DOWNLOAD_SOFTWARE_CLICKED = "download_software_clicked"
    READY_TO_START = "ready_to_start"
    STARTED = "started"
    READY_TO_SUBMIT = "ready_to_submit"
    """The learner wants to end; the clock runs on."""
    DECLINED = "declined"
    """Takes the exam without proctoring (edx-proctoring only)."""
    TIMED_OUT = "timed_out"
    """Only from an LMS that keeps it apart; ours become submitted, at the instant of expiry."""
    SUBMITTED = "submitted"
    SECOND_REVIEW_REQUIRED = "second_review_required"
    """A machine or a provider found something, or the attempt was terminated: a person decides."""
    VERIFIED = "verified"
    REJECTED = "rejected"
    ERROR = "error"
    """A technical failure. The only one that can be resumed."""
    EXPIRED = "expired"
    ONBOARDING_RESET = "onboarding_reset"
    """A practice attempt that the learner has replaced by another."""
    ONBOARDING_MISSING = "onboarding_missing"
    ONBOARDING_PENDING = "onboarding_pending"
    ONBOARDING_FAILED = "onboarding_failed"
    ONBOARDING_EXPIRED = "onboarding_expired"


_S = Status

BEFORE_START = frozenset({_S.CREATED, _S.DOWNLOAD_SOFTWARE_CLICKED, _S.READY_TO_START})
IN_PROGRESS = frozenset({_S.STARTED, _S.READY_TO_SUBMIT})
"""The clock runs."""
OPEN = BEFORE_START | IN_PROGRESS
ONBOARDING_REFUSED = frozenset(
    {_S.ONBOARDING_MISSING, _S.ONBOARDING_PENDING, _S.ONBOARDING_FAILED, _S.ONBOARDING_EXPIRED}
)
"""The provider did not register the attempt: the learner must do the onboarding exam first."""
ENDED = frozenset(_S) - OPEN - {_S.ELIGIBLE}
UNDER_REVIEW = frozenset({_S.SUBMITTED, _S.TIMED_OUT, _S.SECOND_REVIEW_REQUIRED})
JUDGED = frozenset({_S.VERIFIED, _S.REJECTED})

"""What proctoring needs of a database and an outbox: protocols that the server implements.

Everything that belongs together happens in one `Store.write()`: the change of an attempt, its row
of history, the messages that tell others, the release of grades.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from proctoring_hooks.attempt import Attempt, Learner, NewAttempt
from proctoring_hooks.clock import Allowance
from proctoring_hooks.exam import ClockOwner, Exam, NewExam
from proctoring_hooks.grades import ExamSubmission
from proctoring_hooks.history import Change, Row
from proctoring_hooks.incidents import Consequence, Incident, NewIncident
from proctoring_hooks.learner_names import LearnerNames
from proctoring_hooks.lms import Lms
from proctoring_hooks.marks import Batch, Mark, NewMark
from proctoring_hooks.message import Message
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.reviews import Review
from proctoring_hooks.statuses import Status


class NotFound(Exception):
    """There is none with that id, or none that this caller may know of."""


class Overtaken(Exception):
    """Somebody else changed the attempt since it was read. For the caller: HTTP 409."""


class Exams(Protocol):
    def get(self, exam_id: int) -> Exam:
        """Raises: NotFound."""

    def by_external_id(self, lms: str, external_id: str) -> Exam:
        """Raises: NotFound."""

    def active(self, lms: str, course_id: str, content_id: str) -> Exam | None: ...

    def latest(
        self, lms: str, course_id: str, content_id: str, clock_owner: ClockOwner
    ) -> Exam | None:
        """Of that content, active or not: the active one, else the one that was added last."""

    def of_course(self, lms: str, course_id: str, *, active_only: bool) -> Sequence[Exam]:
        """By id."""

    def add(self, new: NewExam) -> Exam:
        """Raises: Overtaken: that content has another active exam. Nothing was written."""

    def change(self, exam_id: int, **fields: Any) -> Exam:
        """`fields` are those of `Exam`.

        Raises:
            NotFound
            Overtaken: that content has another active exam. Nothing was written.
        """

    def allowance(self, exam_id: int, user_id: str) -> Allowance | None: ...

    def allow(self, exam_id: int, user_id: str, allowance: Allowance | None, *, who: str) -> None:
        """None takes an allowance away."""

    def is_course_staff(self, lms: str, course_id: str, user_id: str) -> bool:
        """Whether an operator has granted it to that user of the LMS."""

    def claiming(self, lms: str, problem: str, queue: str) -> Exam | None:
        """The active exam that a submission of this problem in this queue belongs to; one that
        claims the problem comes before one that claims the queue."""


class Attempts(Protocol):
    def get(self, attempt_id: int, *, lock: bool = False) -> Attempt:
        """Locked against other transactions until this one ends, where asked. Raises: NotFound."""

    def even_removed(self, attempt_id: int) -> Attempt:
        """For those who are told of its removal. Raises: NotFound."""

    def set_provider_id(self, attempt_id: int, provider_attempt_id: str) -> None:
        """By which a provider knows it, removed or not. No change of the attempt: who has seen its
        version has seen everything."""

    def by_external_id(self, lms: str, external_id: str, *, lock: bool = False) -> Attempt:
        """Raises: NotFound."""

    def of_learner(self, exam_id: int, learner: Learner) -> Sequence[Attempt]:
        """Newest first, found by either id."""

    def count(self, exam_id: int, statuses: Collection[Status]) -> int:
        """Of everybody."""

    def onboarding(self, lms: str, course_id: str, learner: Learner | None) -> Sequence[Attempt]:
        """Attempts at onboarding exams of the course, and those at other courses' that are
        verified; newest first. None: everybody's."""

    def in_progress(self, lms: str, learner: Learner) -> Attempt | None:
        """In whatever exam; only where the clock is ours."""

    def add(self, new: NewAttempt, first: Callable[[int], Row], **fields: Any) -> Attempt:
        """`first` makes its first row of history from its id.

        Raises:
            Overtaken: the learner has got an open one meanwhile. Nothing was written.
        """

    def change(self, attempt: Attempt, row: Row, **fields: Any) -> Attempt:
        """Compare-and-set on `attempt.version`; writes the row of history with it.

        Raises:
            Overtaken: the version is another by now. Nothing was written.
        """

    def run_out(self, *, limit: int, but: Collection[int] = ()) -> Sequence[int]:
        """Ids of attempts in progress whose end, by our own clock, has come; oldest first. Without
        those that another transaction has locked, and those of `but`."""

    def next_end_in_s(self) -> float | None:
        """Until the next attempt in progress ends by our own clock; None: there is none."""

    def never_started(self, *, age_s: float, limit: int) -> Sequence[int]:
        """Ids of attempts of an LMS's clock that were made so long ago and wait to be started."""

    def history(self, attempt_id: int) -> Sequence[Row]:
        """Oldest first."""


class Records(Protocol):
    """Reviews and incidents."""

    def add_review(self, attempt_id: int, review: Review, *, effect: str) -> int | None:
        """Returns its place in the order of arrival, from 1; None if it is there already."""

    def kept_reviews(self, attempt_id: int) -> Sequence[tuple[int, Review]]:
        """Place and review of those that wait for the attempt to be submitted; oldest first."""

    def apply_review(self, attempt_id: int, place: int, *, effect: str) -> None: ...

    def deciding_review(self, attempt_id: int) -> Review | None:
        """The last one that changed the attempt."""

    def add_incident(
        self, new: NewIncident, *, strike: int | None, consequences: Sequence[Consequence]
    ) -> Incident | None:
        """None if the attempt has one with that incident id already."""

    def strikes(self, attempt_id: int) -> int:
        """How many incidents counted. Exact, if the attempt is locked."""

    def incidents(self, attempt_id: int) -> Sequence[Incident]:
        """Oldest first."""


class Grades(Protocol):
    """Submissions that belong to exams, and their grades that the LMS has not got yet."""

    def of_attempt(self, attempt_id: int) -> Sequence[ExamSubmission]: ...

    def find(self, submission_id: int) -> ExamSubmission | None: ...

    def flagged(self, exam_id: int, *, after: int = 0, limit: int) -> Sequence[ExamSubmission]:
        """Those of an exam that wait for staff; by id, above `after`."""

    def release(
        self,
        submission_id: int,
        *,
        factor: float,
        why: str,
        who: str = "exam",
        reason: str | None = None,
    ) -> bool:
        """Send its grade to the LMS, now or once there is one. False if that was done before.
        Recorded with who and why: `why` in a word or two, `reason` in the words of a person."""

    def withhold(self, submission_id: int, *, why: str) -> bool:
        """A grade that waits stays here until it is released after all. False if it does not wait,
        or not any more."""

    def refuse(self, submission_id: int, *, who: str, reason: str) -> bool:
        """A grade that staff were to decide on stays here. False if it does not wait for them, or
        not any more."""


class Marks(Protocol):
    def acquire(self, exam_id: int, holder: str, *, ttl_s: float) -> int | None:
        """A token greater than any before; None while somebody else holds the sheet."""

    def write(self, exam_id: int, entries: Sequence[NewMark], token: int, *, ttl_s: float) -> None:
        """Put the entries into the sheet, over those of the same learner and problem, and hold it
        for another `ttl_s`. Nobody else gets the sheet until the transaction ends.

        Raises:
            Overtaken: the token is not the newest, or has been given back. For the caller: HTTP
                409. Nothing was written.
        """

    def release(self, exam_id: int, token: int) -> bool:
        """Give the sheet back; False if somebody else has got it meanwhile."""

    def of_exam(self, exam_id: int) -> Sequence[Mark]:
        """By learner and problem."""

    def unwritten(self, exam_id: int, *, limit: int) -> Batch:
        """Marks of which something is new since they were written, as they are now; from here on
        they count as written, if the transaction commits."""

    def exams_to_write(self) -> Sequence[int]:
        """Ids of exams of whose marks something is new."""


class Learners(Protocol):
    """What is known of learners as persons: for the people who proctor, and the first to go."""

    def tell(
        self, lms: str, learner: str, *, full_name: str, email: str, username: str = ""
    ) -> None:
        """`learner` is his id, or the obscured one. What is "" does not overwrite what is known."""


NO_ATTEMPT = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something to show on pages that are open: which attempt, and what kind of thing."""

    lms: str
    course_id: str
    attempt_id: int
    """`NO_ATTEMPT`: of the course, as a decision on what was submitted without one."""
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """Who is told of attempts by signed webhook."""

    name: str
    url: str
    sends_user_id: bool = False
    """Also the LMS's own number of the learner, for who can join no obscured id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSubscriber(Subscriber):
    secret: str = field(repr=False)
    """As Standard Webhooks writes it: whsec_ and base64. Several, with spaces between: messages are
    signed with each, while the subscriber changes from one to another."""


class Session(Protocol):
    """One transaction."""

    @property
    def now(self) -> datetime:
        """The database's clock; the same all through the transaction."""

    @property
    def exams(self) -> Exams: ...

    @property
    def attempts(self) -> Attempts: ...

    @property
    def records(self) -> Records: ...

    @property
    def grades(self) -> Grades: ...

    @property
    def marks(self) -> Marks: ...

    @property
    def learners(self) -> Learners: ...

    def lms(self, name: str) -> Lms:
        """Raises: NotFound."""

    def lms_by_client_id(self, client_id: str) -> Lms | None:
        """The one that signs in here by that name."""

    def use_token(self, digest: bytes, *, until: datetime) -> bool:
        """Whether nobody has used it before; `until` is when it would be over anyway."""

    def provider_url(self, name: str) -> str:
        """Where its messages go, for the outbox to know what is down. Raises: NotFound."""

    def provider(self, name: str) -> Entry:
        """With its secrets. Raises: NotFound."""

    def providers(self) -> Sequence[Entry]:
        """All, by name, with their secrets."""

    def names(self, lms: str, learner: Learner) -> LearnerNames | None:
        """None: nobody told us, or they were erased."""

    def subscriber(self, name: str) -> SecretSubscriber:
        """Raises: NotFound."""

    def subscribers(self, lms: str, course_id: str) -> Sequence[Subscriber]: ...

    def chained(self, head: bytes, change: Change, reason: str | None) -> Row:
        """The row of history that follows on a head, by the server's key."""

    def learner_digest(self, lms: str, learner: Learner) -> str:
        """By which a history says whose attempt it is, by the same key."""

    def send(self, message: Message) -> int:
        """Put it into the outbox; returns its id there."""

    def is_awaited(self, order_key: str, *, before: int | None = None) -> bool:
        """Whether a message with that key, put there before the one with this id, if one is given,
        is still to be sent, or its answer to come."""

    def tell(self, news: News) -> None: ...


class Store(Protocol):
    def read(self) -> AbstractContextManager[Session]: ...

    def write(self) -> AbstractContextManager[Session]:
        """Commits at the end of the block, rolls back on any error."""

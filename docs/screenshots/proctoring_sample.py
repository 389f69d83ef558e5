"""An exam in the middle of it, with people and events that nobody has met."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import insert

from docs.screenshots import admin_sample
from docs.screenshots.admin_sample import COURSE, GOOD, ORIGIN
from proctoring_hooks import attempts, reporting
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.exam import ClockOwner, Exam, ExamType, NewExam, Release, Reviewing, Terms
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.links import attempt_link
from proctoring_hooks.lms import Lms
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.transitions import Action, Actor, By
from xqueue_server.instant import ManualClock
from xqueue_server.models.queue import Queue
from xqueue_server.secret_key import key_for
from xqueue_server.storage import Storage, queues
from xqueue_server.storage.engine import NOW
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.claims import ClaimKind, add
from xqueue_server.storage.proctoring_schema import exam_learners
from xqueue_server.web.proctoring.provider import LINKS

QUEUE = "cs101"
LEARNERS = ("Amara Obi", "Ben Sørensen", "Chiara Ricci", "Deniz Yılmaz", "Elif Kaya", "Farid Amini")
WITHOUT_ATTEMPT = 7
BLOCK = f"block-v1:{COURSE.removeprefix('course-v1:')}+type@"
LEARNER = By(actor=Actor.LEARNER, who="learner")
LMS = By(actor=Actor.LMS, who="lms edx")
PAGE = By(actor=Actor.PROVIDER, who="page")
PAULA = By(actor=Actor.PROCTOR, who="account paula")


@dataclass(kw_only=True)
class Sample:
    storage: Storage
    store: ProctoringStore
    clock: ManualClock

    def make(self) -> None:
        """The clock ends at now."""
        self._desk = admin_sample.Sample(self.storage, self.store, self.clock)
        with self.store.write() as session:
            queues.add(session.tx, Queue(name=QUEUE), actor="operator root")
            session.lmses.add(_lms())
            final = session.exams.add(_exam("Final exam", "final", ExamType.PROCTORED))
            session.exams.add(
                _exam("Mock exam", "mock", ExamType.PRACTICE, review=Reviewing.AUTO_PASS)
            )
            midterm = session.exams.add(
                _exam("Midterm", "midterm", ExamType.PROCTORED, clock_owner=ClockOwner.LMS)
            )
            for problem in ("square", "sorting"):
                add(
                    session.tx,
                    final,
                    ClaimKind.PROBLEM,
                    f"{BLOCK}problem+block@{problem}",
                    actor="operator root",
                )
        found = [self._begin(final, number) for number in range(1, 6)]
        self._begin(midterm, 6, by=LMS)
        self.clock.advance(12 * 60)
        self._submit(2, "square", 0.8)
        self._submit(5, "square", 1)
        self.clock.advance(8 * 60)
        self._incident(found[1], "talks to somebody", 0.5, Source.PROCTOR)
        self._incident(found[4], "looks at a phone", 0.5, Source.PROCTOR)
        self.clock.advance(5 * 60)
        with self.store.write() as session:
            attempts.extend(session, found[1].id, 15, _why(PAULA, "fire alarm, 10:20 to 10:35"))
            attempts.act(session, found[3].id, Action.ERROR, LEARNER)
        self.clock.advance(15 * 60)
        self._incident(found[4], "another person in the room", 0.9, Source.PROCTOR)
        with self.store.write() as session:
            attempts.act(session, found[2].id, Action.SUBMIT, LEARNER)
            attempts.act(session, found[0].id, Action.SUBMIT, LEARNER)
            comment = Comment(comment="Nothing to note.", status="Clean")
            review = Review(
                action=Action.PASS, actor=Actor.PROCTOR, reviewed_by="paula", comments=(comment,)
            )
            attempts.judge(session, found[0].id, review, PAULA)
        self.clock.advance(2 * 60)
        self._submit(3, "sorting", 1)
        self._submit(WITHOUT_ATTEMPT, "sorting", 0)
        self.clock.advance(5 * 60)
        self._incident(found[1], "left full screen", 0.3, Source.WORKER)
        self._register(final, 6)
        self.clock.advance(3 * 60)

    def link(self, secret_key: bytes) -> str:
        """To the page of who writes."""
        with self.store.read() as session:
            now = session.now
        return attempt_link(key_for(LINKS, secret_key), "", 2, now=now)

    def _submit(self, learner: int, problem: str, score: float) -> None:
        self._desk.submit(learner, problem, queue=QUEUE)
        self._desk.put(self._desk.lease(QUEUE), score, GOOD)

    def _register(self, exam: Exam, number: int, by: By = LEARNER) -> Attempt:
        with self.store.write() as session:
            name = LEARNERS[number - 1]
            first = name.partition(" ")[0].lower()
            if session.names("edx", Learner(user_id=str(number))) is None:
                session.tx.run(
                    insert(exam_learners).values(told_at=NOW),
                    lms="edx",
                    learner=str(number),
                    full_name=name,
                    email=f"{first}@example.edu",
                    username=first,
                    now=session.tx.now,
                )
            asked = attempts.Registration(
                learner=Learner(user_id=str(number)),
                external_id=f"sample-{exam.id}-{number}",
                allowed_s=None if by is LEARNER else exam.time_limit_mins * 60,
            )
            return attempts.register(session, exam, asked, by).attempt

    def _begin(self, exam: Exam, number: int, by: By = LEARNER) -> Attempt:
        attempt = self._register(exam, number, by)
        with self.store.write() as session:
            attempts.act(session, attempt.id, Action.READY, PAGE)
            return attempts.act(session, attempt.id, Action.START, by).attempt

    def _incident(self, attempt: Attempt, kind: str, severity: float, source: Source) -> None:
        with self.store.write() as session:
            reporting.report(
                session,
                NewIncident(
                    attempt_id=attempt.id,
                    incident_id=kind,
                    source=source,
                    kind=kind,
                    severity=severity,
                    happened_at=session.now,
                    reported_by="account paula" if source is Source.PROCTOR else "",
                ),
            )


def _why(by: By, reason: str) -> By:
    return By(actor=by.actor, who=by.who, reason=reason)


def _lms() -> Lms:
    return Lms(
        name="edx",
        base_url=ORIGIN,
        origins=(ORIGIN,),
        backend="xqueue",
        client_id="sample",
        client_secret="",
        our_client_id="sample",
        our_client_secret="",
        obfuscation_key="",
    )


def _exam(
    name: str,
    block: str,
    exam_type: ExamType,
    *,
    review: Reviewing = Reviewing.PEOPLE,
    clock_owner: ClockOwner = ClockOwner.US,
) -> NewExam:
    rules = {
        "alone": "Be alone in the room.",
        "phone": "Put your phone out of reach.",
        "notes": "One handwritten page of notes is allowed.",
    }
    return NewExam(
        lms="edx",
        course_id=COURSE,
        content_id=f"{BLOCK}sequential+block@{block}",
        exam_name=name,
        exam_type=exam_type,
        time_limit_mins=90,
        due_at=None,
        hide_after_due=False,
        is_active=True,
        clock_owner=clock_owner,
        external_id=f"sample-{block}",
        terms=Terms(
            release=Release.ON_VERIFIED, review=review, rules=rules, incident_policy="two_strikes"
        ),
    )

"""A learner who leaves traces wherever exams can keep one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from uuid import uuid4

from sqlalchemy import insert, text, update

from proctoring_hooks import attempts, mark_sheet, reporting
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.attempts import Registration
from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import ClockOwner, Exam, ExamType, NewExam, Terms
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.lms import Lms
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.store import SecretSubscriber
from proctoring_hooks.transitions import Action, Actor, By
from proctoring_hooks.web.exam_service_store import ExamCourse, awaited_id
from tests.server.builders import BLOCK, COURSE, Desk, callback_url, grade, lms_body
from xqueue_server.keys import digest
from xqueue_server.storage import events, idempotency
from xqueue_server.storage.engine import NOW
from xqueue_server.storage.idempotency import Answer
from xqueue_server.storage.proctoring import ProctoringStore, claims, console_sessions
from xqueue_server.storage.proctoring.claims import ClaimKind
from xqueue_server.storage.proctoring.console_sessions import ConsoleSession
from xqueue_server.storage.proctoring_schema import exam_workers
from xqueue_server.storage.schema import callback_attempts, callbacks

ID = "471147114711"
OTHER_ID = "815815815815"
NAME, EMAIL, USERNAME = "Zebra Quagga", "quagga@zebra.example", "quagga-z"
WORDS = "quagga-words"
"""Begin what people, providers and the LMS wrote about him."""

OF_A_LEARNER_IN_EXAMS = {
    "console_sessions": {"who", "reviewer"},
    "exam_allowances": {"user_id"},
    "exam_attempt_history": {"reason"},
    "exam_attempts": {
        *("user_id", "obscured_id", "external_id", "provider_attempt_id"),
        *("lms_host", "exception"),
    },
    "exam_course_staff": {"user_id"},
    "exam_courses": {"terms"},
    "exam_incidents": {"incident_id", "kind", "detail"},
    "exam_learners": {"learner", "full_name", "email", "username"},
    "exam_marks": {"learner"},
    "exam_reviews": {"comments", "link", "digest"},
    "exams": {"terms"},
    "idempotency_keys": {"body"},
}
"""Every column of these tables that can hold something of a learner."""

LEARNER = By(actor=Actor.LEARNER, who="learner", reason=f"{WORDS} his own")
PROCTOR = By(actor=Actor.PROCTOR, who="account jane", reason=f"{WORDS} of a proctor")


def lms_at(origin: str, name: str = "edx") -> Lms:
    return Lms(
        name=name,
        base_url=origin,
        origins=(origin,),
        backend="xqueue",
        client_id=f"client of {name}",
        client_secret="s",
        our_client_id="us",
        our_client_secret="s",
        obfuscation_key=f"key of {name}",
        sends_events=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamLife:
    """Of one learner of one LMS."""

    desk: Desk
    store: ProctoringStore
    lms: Lms
    user_id: str = ID
    email: str = EMAIL
    username: str = USERNAME
    name: str = NAME

    @property
    def obscured(self) -> str:
        return obscured_id(self.lms.obfuscation_key, self.user_id, self.lms.backend)

    @property
    def awaited(self) -> str:
        return awaited_id(self.username)

    @property
    def known_by(self) -> tuple[str, ...]:
        return (
            *(self.user_id, self.obscured, self.awaited, awaited_id(self.email)),
            *(self.name, self.email, self.username),
        )

    def exam(self, content: str, owner: ClockOwner) -> Exam:
        new = NewExam(
            lms=self.lms.name,
            course_id=COURSE,
            content_id=content,
            exam_name="Final",
            exam_type=ExamType.PROCTORED,
            time_limit_mins=60,
            due_at=None,
            hide_after_due=False,
            is_active=True,
            clock_owner=owner,
            external_id=uuid4().hex,
            terms=Terms(provider="watcher", staff=("1", self.user_id)),
        )
        with self.store.write() as session:
            return session.exams.add(new)

    def register(self, exam: Exam, number: int = 1) -> Attempt:
        is_ours = exam.clock_owner is ClockOwner.US
        asked = Registration(
            learner=Learner(user_id=self.user_id)
            if is_ours
            else Learner(obscured_id=self.obscured),
            external_id=f"{WORDS}-{self.lms.name}-{self.user_id}-{exam.id}-{number}",
            lms_host=f"https://{WORDS}.example",
            exception=f"{WORDS} a broken arm",
        )
        by = LEARNER if is_ours else By(actor=Actor.LMS, who=f"lms {self.lms.name}")
        with self.store.write() as session:
            return attempts.register(session, exam, asked, by).attempt

    def sit(self, attempt: Attempt) -> None:
        """To the end."""
        is_ours = attempt.clock_owner is ClockOwner.US
        by = LEARNER if is_ours else By(actor=Actor.LMS, who=f"lms {self.lms.name}")
        with self.store.write() as session:
            if is_ours:
                attempts.act(session, attempt.id, Action.READY, PROCTOR)
            attempts.act(session, attempt.id, Action.START, by)
            session.attempts.set_provider_id(attempt.id, f"{WORDS}-at-the-provider")

    def end(self, attempt: Attempt) -> None:
        is_ours = attempt.clock_owner is ClockOwner.US
        by = LEARNER if is_ours else By(actor=Actor.LMS, who=f"lms {self.lms.name}")
        review = Review(
            action=Action.PASS,
            actor=Actor.PROCTOR,
            reviewed_by="jane",
            comments=(Comment(comment=f"{WORDS} a comment", status="Clean"),),
            link=f"https://{WORDS}.example/video",
        )
        with self.store.write() as session:
            reporting.report(
                session,
                NewIncident(
                    attempt_id=attempt.id,
                    incident_id=f"{WORDS} id",
                    source=Source.PROCTOR,
                    kind=f"{WORDS} kind",
                    severity=0.5,
                    happened_at=session.now,
                    detail=f"{WORDS} detail",
                    reported_by="account jane",
                ),
            )
            attempts.act(session, attempt.id, Action.SUBMIT, by)
            attempts.judge(session, attempt.id, review, PROCTOR)

    def live(self) -> tuple[Attempt, Attempt, Attempt]:
        """Two attempts that were verified, ours and the LMS's, and one that was removed; nothing is
        under way when it returns."""
        self._enter()
        ours = self.exam("ours", ClockOwner.US)
        theirs = self.exam("theirs", ClockOwner.LMS)
        again = self.exam("again", ClockOwner.US)
        first, second, removed = map(self.register, (ours, theirs, again))
        self._submit_code(ours, first)
        self.sit(second)
        self.end(second)
        with self.store.write() as session:
            by = By(actor=Actor.STAFF, who="account joe", reason=f"{WORDS} reset")
            attempts.act(session, removed.id, Action.RESET, by)
        self._around(ours, first)
        mark_sheet.bring_up_to_date(self.store, "sweeper")
        self._deliver()
        return first, second, removed

    def _enter(self) -> None:
        url = f"https://hook.example/{self.lms.name}"
        with self.store.write() as session:
            hook = SecretSubscriber(name=f"hook-{self.lms.name}", url=url, secret="whsec_")
            session.recipients.put_subscriber(hook, lms=self.lms.name, course_id="")
            session.recipients.put_provider(
                Entry(name="watcher", plugin="null", settings={}, secrets={})
            )
            session.learners.tell(
                self.lms.name,
                self.user_id,
                username=self.username,
                email=self.email,
                full_name=self.name,
            )
            session.learners.tell(
                self.lms.name, self.obscured, full_name=self.name, email=self.email
            )

    def _submit_code(self, exam: Exam, attempt: Attempt) -> None:
        problem = f"{BLOCK}{'0' * 32}"
        with self.store.write() as session:
            claims.add(session.tx, exam, ClaimKind.PROBLEM, problem, actor="operator")
        self.sit(attempt)
        url = callback_url(origin=self.lms.origins[0]).replace("/42/", f"/{self.user_id}/")
        self.desk.submit(url, body=lms_body(response=f"{WORDS} code"))
        self.desk.put(self.desk.lease(), grade(msg=f"<p>{WORDS} feedback</p>"))
        self.end(attempt)

    def _around(self, exam: Exam, attempt: Attempt) -> None:
        """What stands of him beside his attempts."""
        more = Allowance(kind=AllowanceKind.ADDITIONAL_MINUTES, value=10.0)
        terms = replace(exam.terms, staff=(self.user_id,))
        session_of = ConsoleSession(
            lms=self.lms.name,
            course_id=COURSE,
            who=f"instructor {self.obscured} of {self.lms.name}",
            reviewer=self.email,
        )
        with self.store.write() as session:
            tx = session.tx
            session.exams.allow(exam.id, self.user_id, more, who="operator")
            session.exams.allow(exam.id, self.awaited, more, who="operator")
            session.learners.tell(
                self.lms.name, self.awaited, username=self.username, email="", full_name=""
            )
            session.service.grant_staff(self.lms.name, COURSE, self.user_id, who="operator")
            session.service.set_course(self.lms.name, COURSE, ExamCourse(terms=terms))
            console_sessions.add(tx, digest("a session", self.obscured), session_of, lasts_s=3600)
            key = digest("a key", self.obscured)
            idempotency.begin(tx, key, b"r" * 32)
            body = json.dumps({"allowances": [{"user_id": self.user_id}]}).encode()
            idempotency.finish(tx, key, Answer(status=200, body=body, location=None))
            events.append(
                tx,
                subject=f"exam {exam.id}",
                actor="operator",
                why="terms changed",
                detail=f"grace_s=17, staff={self.user_id},1",
            )
            events.append(tx, subject=f"attempt {attempt.id}", actor="account jane", why="looked")
            heard = insert(exam_workers).values(heard_at=NOW, has_ended=True)
            tx.run(heard, attempt_id=attempt.id, now=tx.now)

    def _deliver(self) -> None:
        """Whatever waits, with answers that quote him."""
        with self.store.write() as session:
            tx = session.tx
            waiting = tx.all(
                text("SELECT id, submission_id, attempt_id FROM callbacks WHERE state = 'pending'")
            )
            for row in waiting:
                is_of_him = row.submission_id is not None or row.attempt_id is not None
                said = f"{WORDS} answer" if is_of_him else "of an exam"
                tx.run(
                    update(callbacks)
                    .where(callbacks.c.id == row.id)
                    .values(state="delivered", next_at=None, finished_at=NOW),
                    now=tx.now,
                )
                tx.run(
                    insert(callback_attempts).values(started_at=NOW),
                    callback_id=row.id,
                    status=200,
                    duration_ms=1,
                    error=None,
                    response=said,
                    now=tx.now,
                )
                events.append(
                    tx,
                    subject=f"callback {row.id}",
                    submission_id=row.submission_id,
                    actor="deliver",
                    why="delivered",
                    detail=said,
                )

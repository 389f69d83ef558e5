"""Exams that are saved: their provider is told what changed, once, and before their attempts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from proctoring_hooks import attempts, saving
from proctoring_hooks.attempts import NotPossible
from proctoring_hooks.exam import ClockOwner, Exam, ExamType, Terms, Unmatched
from proctoring_hooks.publishing import PublishedExam, change_provider, publish
from proctoring_hooks.terms import REFUSES_STAFF, BadTerms, read_rules, read_staff, warnings_of
from proctoring_hooks.transitions import Action
from tests.delivery.lms import running_lms
from tests.delivery.outbox_data import deliver_now
from tests.proctoring.conftest import COURSE, EXAM, MakeExam
from tests.proctoring.outgoing import SignedIn, answered, messages, post_office, put_provider
from tests.proctoring.sitting import LEARNER, PROCTOR, STAFF, registered, started
from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.errors import Conflict
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

WATCHED = Terms(provider="watcher")


@pytest.fixture
def provider(store: ProctoringStore) -> Iterator[SignedIn]:
    with running_lms() as server:
        put_provider(store, "rest", base_url=server.origin, client_id="us")
        yield SignedIn(server)


@pytest.fixture
def deliverer(storage: Storage, store: ProctoringStore) -> Iterator[Deliverer]:
    with post_office(storage, store) as made:
        yield made


@pytest.fixture
def exam(store: ProctoringStore, provider: SignedIn, make_exam: MakeExam) -> Exam:
    """Its provider knows it."""
    made = make_exam(terms={"provider": "watcher"})
    with store.write() as session:
        return session.exams.change(made.id, provider_exam_id="ex-1")


def purposes(storage: Storage) -> list[str | None]:
    return [each.purpose for each in messages(storage)]


def published(exam: Exam, **changed: Any) -> PublishedExam:
    names = PublishedExam.__dataclass_fields__
    return PublishedExam(**{name: getattr(exam, name) for name in names} | changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"exam_name": "Finals"},
        {"time_limit_mins": 90},
        {"due_at": "now"},
        {"hide_after_due": True},
        {"is_active": False},
        {"terms": replace(WATCHED, rules={"phone": "No phone."})},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_provider_is_told_what_changes_of_an_exam_and_not_what_stays(
    storage: Storage, store: ProctoringStore, exam: Exam, changed: dict[str, Any]
) -> None:
    with store.write() as session:
        given = {name: session.now if value == "now" else value for name, value in changed.items()}
        saving.change(session, exam.id, **given)
        saving.change(session, exam.id, **given)
    assert purposes(storage) == ["exam"]


def test_what_no_provider_knows_of_an_exam_is_told_to_none(
    storage: Storage, store: ProctoringStore, exam: Exam, make_exam: MakeExam
) -> None:
    others = [
        make_exam(content_id="a", external_id="a"),
        make_exam(
            content_id="b",
            external_id="b",
            clock_owner=ClockOwner.LMS,
            terms={"provider": "watcher"},
        ),
        make_exam(
            content_id="c",
            external_id="c",
            exam_type=ExamType.TIMED,
            terms={"provider": "watcher"},
        ),
    ]
    with store.write() as session:
        saving.change(session, exam.id, terms=replace(exam.terms, grace_s=9, staff=("5",)))
        for each in others:
            saving.change(session, each.id, exam_name="Another")
    assert purposes(storage) == []


def test_publishing_tells_of_what_is_new_changed_or_gone_and_of_nothing_else(
    storage: Storage, store: ProctoringStore, exam: Exam
) -> None:
    fresh = replace(published(exam), content_id="block-v1:new")
    lists = [
        ([published(exam)], 0),
        ([published(exam, exam_name="Finals"), fresh], 2),
        ([published(exam, exam_name="Finals"), fresh], 0),
        ([fresh], 1),
    ]
    for exams, expected in lists:
        before = len(messages(storage))
        with store.write() as session:
            publish(session, "edx", COURSE, exams, terms=WATCHED, new_id=lambda: "x-1")
        assert len(messages(storage)) - before == expected


def test_a_course_that_changes_its_provider_tells_both(
    storage: Storage, store: ProctoringStore, exam: Exam
) -> None:
    put_another(store, "other")
    with store.write() as session:
        change_provider(session, "edx", COURSE, "other", new_id=lambda: "x-1")
    told = [(each.recipient, each.purpose) for each in messages(storage)]
    assert told == [("watcher", "exam"), ("other", "exam")]


def put_another(store: ProctoringStore, name: str) -> None:
    with store.write() as session:
        session.recipients.put_provider(replace(session.provider("watcher"), name=name))


def test_another_provider_is_not_told_the_id_of_the_one_before(
    store: ProctoringStore, exam: Exam
) -> None:
    put_another(store, "other")
    with store.write() as session:
        changed = saving.change(session, exam.id, terms=Terms(provider="other"))
    assert changed.provider_exam_id == ""


def test_attempts_that_a_provider_knows_stay_with_it_until_they_are_judged(
    store: ProctoringStore, exam: Exam
) -> None:
    put_another(store, "other")
    ended, begun = started(store, exam), registered(store, exam, "18")

    def given_another(why: str) -> None:
        with pytest.raises(NotPossible, match=why), store.write() as session:
            saving.change(session, exam.id, terms=Terms(provider="other"))

    given_another("stays with watcher: 2 attempts are open or not judged")
    with store.write() as session:
        attempts.act(session, begun.id, Action.RESET, STAFF)
        attempts.act(session, ended.id, Action.SUBMIT, LEARNER)
        saving.change(session, exam.id, terms=replace(WATCHED, grace_s=9))
    given_another("1 attempt is open or not judged")
    with store.write() as session:
        attempts.act(session, ended.id, Action.PASS, PROCTOR)
        changed = saving.change(session, exam.id, terms=Terms(provider="other"))
    assert changed.terms.provider == "other"


def test_a_first_provider_waits_for_open_attempts_but_not_for_people_who_judge(
    store: ProctoringStore, provider: SignedIn, make_exam: MakeExam
) -> None:
    exam = make_exam()
    attempt = started(store, exam)
    why = "no provider: 1 attempt is open\\. "
    with pytest.raises(NotPossible, match=why), store.write() as session:
        saving.change(session, exam.id, terms=WATCHED)
    with store.write() as session:
        attempts.act(session, attempt.id, Action.SUBMIT, LEARNER)
        assert saving.change(session, exam.id, terms=WATCHED).terms == WATCHED


def test_what_no_provider_hears_of_holds_no_change_up(
    store: ProctoringStore, provider: SignedIn, make_exam: MakeExam
) -> None:
    exam = make_exam(exam_type=ExamType.TIMED)
    started(store, exam)
    with store.write() as session:
        assert saving.change(session, exam.id, terms=WATCHED).terms == WATCHED


def test_a_provider_that_a_course_has_chosen_stays(store: ProctoringStore, exam: Exam) -> None:
    with store.write() as session:
        session.exams.change(exam.id, is_active=False)
        course = session.service.course("edx", COURSE)
        session.service.set_course("edx", COURSE, replace(course, provider="watcher"))
    with pytest.raises(Conflict, match="has the provider watcher"), store.write() as session:
        session.recipients.drop_provider("watcher")


def test_an_attempt_is_told_of_only_after_what_had_changed_in_its_exam(
    store: ProctoringStore,
    provider: SignedIn,
    deliverer: Deliverer,
    exam: Exam,
    clock: ManualClock,
) -> None:
    provider.answers = [503, answered({"id": "ex-1"}), answered({"id": "at-1"})]
    with store.write() as session:
        saving.change(session, exam.id, terms=replace(WATCHED, rules={"phone": "No phone."}))
    registered(store, exam)
    paths = ["/api/v1/exam/ex-1/", "/api/v1/exam/ex-1/attempt/"]
    deliver_now(deliverer)
    assert [path for _, path, _ in provider.told] == paths[:1]
    for _ in range(6):
        clock.advance(30)
        deliver_now(deliverer)
    assert [path for _, path, _ in provider.told] == [paths[0], *paths]
    assert provider.told[1][2]["rules"] == {"phone": "No phone."}


# -- rules and staff -----------------------------------------------------------------------------


def test_rules_and_staff_are_read_and_kept_in_order() -> None:
    assert read_rules({"b": " No phone. ", "a": "No talk."}) == {"b": "No phone.", "a": "No talk."}
    assert read_staff(["12", 7, "12"]) == ("7", "12")


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"": "x"}, "is no key of a rule"),
        ({"two words": "x"}, "is no key of a rule"),
        ({"a": ""}, "a must be a sentence"),
        ({"a": 1}, "a must be a sentence"),
        ({"a": "x" * 10_001}, "a must be a sentence"),
        ({"a": "one\nline"}, "one line"),
        ({f"k{n}": "x" for n in range(101)}, "at most 100"),
    ],
)
def test_rules_that_nobody_could_read_are_refused(rules: dict[object, object], why: str) -> None:
    with pytest.raises(BadTerms, match=why):
        read_rules(rules)


@pytest.mark.parametrize("user", ["jane", "0", "-1", "1.5", "", True, None, 1.0, "9" * 20, "٣"])
def test_staff_are_named_by_number(user: object) -> None:
    with pytest.raises(BadTerms, match="is no user id"):
        read_staff([user])


def test_refusing_without_staff_is_warned_of() -> None:
    refusing = Terms(unmatched=Unmatched.REFUSE)
    assert warnings_of(refusing) == [REFUSES_STAFF]
    assert warnings_of(replace(refusing, staff=("7",))) == []
    assert warnings_of(Terms()) == []


def test_an_exam_of_ours_that_is_entered_is_told_of(
    storage: Storage, store: ProctoringStore, provider: SignedIn
) -> None:
    with store.write() as session:
        saving.add(session, replace(EXAM, terms=WATCHED))
    assert purposes(storage) == ["exam"]

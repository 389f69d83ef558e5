"""Selections read from texts, and the submissions that they mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.repair.regraded import begin, graded
from tests.server.builders import BLOCK, COURSE, ORIGIN, Desk, add_queue, callback_url
from xqueue_server.errors import InvalidRequest
from xqueue_server.models.callback import CallbackState, DueCallback
from xqueue_server.models.regrade import RegradeState
from xqueue_server.models.scope import EVERYTHING, Scope
from xqueue_server.models.selection import FIELDS, Mark, Selection, parse, to_fields
from xqueue_server.models.submission import HoldReason, SubmissionState
from xqueue_server.storage import selecting
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.outbox import claim_due, finish_dead
from xqueue_server.submissions.leasing import FailureKind

S = SubmissionState
PROBLEM = BLOCK + "0" * 32
UNIT = PROBLEM.replace("problem", "vertical")
SEQUENCE = PROBLEM.replace("problem", "sequential")
OLD_PROBLEM = "i4x://MITx/6.00x/problem/P1"


# -- texts ---------------------------------------------------------------------------------------


def test_every_filter_is_read() -> None:
    selection = parse(
        {
            "queue": "b, a",
            "state": "held,queued",
            "course": COURSE,
            "problem": PROBLEM,
            "learner": " 42 ",
            "since": "2026-11-20",
            "until": "2026-11-20T18:00+02:00",
            "held_reason": "grader",
            "callback": "dead",
            "account": "lms",
            "id": "3,1",
            "batch": "7",
            "regrade": "failed",
            "mark": "forgeable",
        }
    )
    assert selection == Selection(
        queues=frozenset({"a", "b"}),
        states=frozenset({S.HELD, S.QUEUED}),
        courses=frozenset({COURSE}),
        problem=PROBLEM,
        learner="42",
        since=datetime(2026, 11, 20, tzinfo=UTC),
        until=datetime(2026, 11, 20, 16, tzinfo=UTC),
        held_reason=HoldReason.GRADER,
        callback=CallbackState.DEAD,
        account="lms",
        ids=frozenset({1, 3}),
        batch=7,
        regrade=RegradeState.FAILED,
        mark=Mark.FORGEABLE,
    )
    assert list(to_fields(selection)) == list(FIELDS)
    assert selection.words.startswith("queue=a,b state=held,queued course=")


def test_nothing_given_is_everything() -> None:
    assert parse({}).is_everything
    assert parse({"queue": "", "learner": "  "}).is_everything
    assert (to_fields(parse({})), parse({}).words) == ({}, "everything")


_MOMENTS = st.datetimes(
    datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.sampled_from([UTC])
)
_NAMES = st.from_regex(r"[A-Za-z0-9_.:+@-]{1,20}", fullmatch=True)
_SELECTIONS = st.builds(
    Selection,
    queues=st.none() | st.frozensets(_NAMES, min_size=1, max_size=3),
    states=st.none() | st.frozensets(st.sampled_from(list(S)), min_size=1),
    courses=st.none() | st.frozensets(_NAMES, min_size=1, max_size=3),
    problem=st.none() | st.sampled_from([PROBLEM, OLD_PROBLEM]),
    learner=st.none() | _NAMES,
    since=st.none() | _MOMENTS,
    held_reason=st.none() | st.sampled_from(list(HoldReason)),
    callback=st.none() | st.sampled_from(list(CallbackState)),
    account=st.none() | _NAMES,
    ids=st.none() | st.frozensets(st.integers(1, 2**63 - 1), min_size=1, max_size=5),
    batch=st.none() | st.integers(1, 2**63 - 1),
    regrade=st.none() | st.sampled_from(list(RegradeState)),
    mark=st.none() | st.just(Mark.FORGEABLE),
)


@settings(deadline=None)
@given(_SELECTIONS)
def test_what_is_written_is_read_back(selection: Selection) -> None:
    assert parse(to_fields(selection)) == selection


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"quue": "a"}, "'quue' is not a filter; there are: queue, state, course"),
        ({"queue": ","}, "queue: must name 1 to 1000, separated by commas"),
        ({"state": "held,lost"}, "state: 'lost' is not one of queued, leased, graded"),
        ({"learner": "x" * 301}, "learner: must have at most 300 printable characters"),
        ({"account": "a\x00b"}, "account: must have at most 300 printable characters"),
        ({"since": "yesterday"}, "since: 'yesterday' is not like 2026-11-20T18:00"),
        ({"until": "0001-01-01"}, "until: '0001-01-01' is not a moment of this time"),
        ({"since": "2026-02-01", "until": "2026-01-01"}, "until: must be later than since"),
        ({"held_reason": "x"}, "held_reason: 'x' is not one of attempts, grader"),
        ({"callback": "x"}, "callback: 'x' is not one of pending, withheld"),
        ({"id": "1,0"}, "id: '0' is not an id"),
        ({"id": "٣"}, r"id: '\u0663' is not an id"),
        ({"id": "9" * 19}, f"id: '{'9' * 19}' is not an id"),
        ({"id": "1" * 20}, f"id: '{'1' * 20}' is not an id"),
        ({"batch": "-1"}, "batch: '-1' is not an id"),
        ({"mark": "x"}, "mark: 'x' is not one of forgeable"),
        ({"problem": "x" * 301}, "problem: must have at most 300 printable characters"),
    ],
)
def test_what_can_not_be_read_is_named(given: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(given)
    assert str(raised.value).startswith(says)


@pytest.mark.parametrize(
    ("pasted", "problem"),
    [
        (PROBLEM, PROBLEM),
        (OLD_PROBLEM, OLD_PROBLEM),
        (f"{ORIGIN}/courses/{COURSE}/jump_to/{PROBLEM}", PROBLEM),
        (f"{ORIGIN}/courses/{COURSE}/jump_to/{PROBLEM}?activate=x#top", PROBLEM),
        (f"{ORIGIN}/xblock/{PROBLEM}?show_title=0&next=/xblock/{UNIT}", PROBLEM),
        (
            f"{ORIGIN}/xblock/{PROBLEM}".replace(":O", "%3AO")
            .replace("+", "%2B")
            .replace("@", "%40"),
            PROBLEM,
        ),
        (callback_url(), PROBLEM),
        (f"{ORIGIN}/courses/MITx/6.00x/2012/xqueue/42/{OLD_PROBLEM}/score_update", OLD_PROBLEM),
    ],
)
def test_a_pasted_problem_is_understood(pasted: str, problem: str) -> None:
    assert parse({"problem": pasted}).problem == problem


@pytest.mark.parametrize(
    ("pasted", "says"),
    [
        (f"https://apps.example.org/learning/course/{COURSE}/{SEQUENCE}/{UNIT}", "is a unit"),
        (f"https://apps.example.org/learning/course/{COURSE}/{SEQUENCE}", "is a subsection"),
        (UNIT, "is a unit"),
        ("i4x://MITx/6.00x/vertical/V1", "is a unit"),
        ("i4x://MITx/6.00x/chapter/C1", "is a section"),
        (f"{ORIGIN}/courses/{COURSE}/courseware", "names no problem"),
        ("homework 3", "names no problem"),
        ("https://[::1/xblock", "is not an address"),
    ],
)
def test_what_is_pasted_and_no_problem_is_said_so(pasted: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^problem: .* {says}") as raised:
        parse({"problem": pasted})
    assert "paste the problem's usage id" in str(raised.value) or says == "is not an address"


# -- what they mean ------------------------------------------------------------------------------


def found(desk: Desk, scope: Scope = EVERYTHING, **filters: str) -> list[int]:
    """By page, checked against the count and the batches."""
    selection = parse(filters)
    with desk.storage.read() as tx:
        ids = [s.submission.id for s in selecting.page(tx, selection, scope)]
        assert selecting.count(tx, selection, scope).count == len(ids)
        assert selecting.count(tx, selection, scope, most=None).count == len(ids)
    one_by_one = [
        i for ids in selecting.batches(desk.storage, selection, scope, size=1) for i in ids
    ]
    assert one_by_one == sorted(ids)
    assert ids == sorted(ids, reverse=True)
    return ids


@pytest.fixture
def various(desk: Desk) -> dict[str, int]:
    """One of each, by what it is."""
    add_queue(desk.storage, "other")
    made = {"delivered": graded(desk, user=1).submission_id}
    made["undelivered"] = graded(desk, user=2, is_delivered=False).submission_id
    made["dead"] = graded(desk, user=3, is_delivered=False).submission_id
    due = {d.submission_id: d for d in _claim_all(desk)}[made["dead"]]
    with desk.storage.write() as tx:
        ending = Ending(status=404, error=None, response="", duration_us=1)
        finish_dead(tx, due, ending, why="refused")
    made["held"] = desk.submit(callback_url(user=4))
    desk.fail(desk.lease(), FailureKind.GRADER)
    made["leased"] = desk.submit(callback_url(user=5))
    desk.lease()
    made["delayed"] = desk.submit(callback_url(user=6))
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    desk.clock.advance(0.5)
    made["queued"] = desk.submit(callback_url("1" * 32, user=7))
    made["elsewhere"] = desk.submit("https://lms.example.org/unlike", queue="other")
    return made


def _claim_all(desk: Desk) -> list[DueCallback]:
    with desk.storage.write() as tx:
        return list(claim_due(tx, ORIGIN, limit=10, token=b"t" * 16))


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"state": "held"}, ["held"]),
        ({"state": "queued"}, ["delayed", "queued", "elsewhere"]),
        ({"state": "queued,leased,held"}, ["held", "leased", "delayed", "queued", "elsewhere"]),
        ({"state": "graded"}, ["delivered", "undelivered", "dead"]),
        ({"state": "graded,held"}, ["delivered", "undelivered", "dead", "held"]),
        ({"queue": "other"}, ["elsewhere"]),
        ({"queue": "other,nowhere"}, ["elsewhere"]),
        ({"queue": "other", "state": "held"}, []),
        ({"learner": "4"}, ["held"]),
        ({"learner": "4", "state": "held"}, ["held"]),
        ({"learner": "4", "state": "graded"}, []),
        ({"problem": BLOCK + "1" * 32}, ["queued"]),
        ({"problem": PROBLEM, "state": "queued"}, ["delayed"]),
        ({"course": COURSE, "queue": "other"}, []),
        ({"held_reason": "grader"}, ["held"]),
        ({"held_reason": "grader", "state": "queued"}, []),
        ({"held_reason": "platform"}, []),
        ({"callback": "delivered"}, ["delivered"]),
        ({"callback": "pending"}, ["undelivered"]),
        ({"callback": "dead"}, ["dead"]),
        ({"callback": "dead", "course": COURSE}, ["dead"]),
        ({"account": "nobody"}, []),
        ({"batch": "1"}, []),
        ({"regrade": "waiting"}, []),
        ({"mark": "forgeable"}, []),
    ],
)
def test_what_a_selection_means(
    desk: Desk, various: dict[str, int], filters: dict[str, str], wanted: list[str]
) -> None:
    assert found(desk, **filters) == sorted((various[name] for name in wanted), reverse=True)


def test_more_of_what_a_selection_means(desk: Desk, various: dict[str, int]) -> None:
    """What needs the ids that are known only now."""
    everything = sorted(various.values(), reverse=True)
    assert found(desk) == everything
    assert found(desk, account="lms") == everything
    some = sorted([various["held"], various["delivered"]], reverse=True)
    assert found(desk, id=",".join(map(str, [*some, 9999]))) == some
    batch_id = begin(desk, various["delivered"])
    assert found(desk, batch=str(batch_id)) == [various["delivered"]]
    assert found(desk, regrade="waiting") == [various["delivered"]]
    assert found(desk, batch=str(batch_id), regrade="same") == []
    in_course = [each for each in everything if each != various["elsewhere"]]
    assert found(desk, course=COURSE) == in_course


def test_times_bound_the_ids(desk: Desk) -> None:
    ids = []
    for user in range(20):
        ids.append(desk.submit(callback_url(user=user)))
        desk.clock.advance(600)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    at = [(start + timedelta(seconds=600 * i)).isoformat() for i in range(20)]
    assert found(desk, since=at[15]) == ids[:14:-1]
    assert found(desk, until=at[3]) == ids[2::-1]
    assert found(desk, since=at[5], until=at[7]) == [ids[6], ids[5]]
    assert found(desk, since="2027-01-01") == []
    assert found(desk, until="2025-01-01") == []
    with desk.storage.read() as tx:
        assert selecting.id_at(tx, start) == ids[0]
        assert selecting.id_at(tx, start + timedelta(seconds=1)) == ids[1]
        assert selecting.id_at(tx, start + timedelta(days=9)) == ids[-1] + 1


def test_the_bound_of_an_empty_table_is_its_beginning(desk: Desk) -> None:
    with desk.storage.read() as tx:
        assert selecting.id_at(tx, datetime(2026, 1, 1, tzinfo=UTC)) == 1


def test_pages_follow_each_other(desk: Desk) -> None:
    ids = [desk.submit(callback_url(user=user)) for user in range(5)]
    with desk.storage.read() as tx:
        first = selecting.page(tx, Selection(), EVERYTHING, limit=2)
        rest = selecting.page(tx, Selection(), EVERYTHING, limit=9, before=first[-1].submission.id)
    assert [s.submission.id for s in (*first, *rest)] == ids[::-1]
    assert (first[0].course, first[0].learner, first[0].problem) == (COURSE, "4", PROBLEM)


def test_a_count_stops_where_it_is_told(desk: Desk) -> None:
    for user in range(4):
        desk.submit(callback_url(user=user))
    with desk.storage.read() as tx:
        assert selecting.count(tx, Selection(), EVERYTHING, most=3) == selecting.Count(
            count=3, is_more=True
        )
        assert selecting.count(tx, Selection(), EVERYTHING, most=4) == selecting.Count(
            count=4, is_more=False
        )


def test_what_arrives_meanwhile_is_in_no_batch(desk: Desk) -> None:
    ids = [desk.submit(callback_url(user=user)) for user in range(3)]
    seen = []
    for batch in selecting.batches(desk.storage, Selection(), EVERYTHING, size=2):
        seen += batch
        desk.submit(callback_url(user=99))
    assert seen == ids


# -- scope ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "wanted"),
    [
        (Scope(), []),
        (Scope(queues=frozenset({"other"})), ["elsewhere"]),
        (Scope(courses=frozenset({"course-v1:a+b+c"})), []),
        (Scope(courses=frozenset({""})), []),
        (Scope(courses=frozenset({COURSE})), ["held"]),
        (Scope(queues=frozenset({"other"}), courses=frozenset({COURSE})), ["elsewhere", "held"]),
        (EVERYTHING, ["elsewhere", "held"]),
    ],
)
def test_a_scope_is_all_that_is_seen(desk: Desk, scope: Scope, wanted: list[str]) -> None:
    add_queue(desk.storage, "other")
    made = {"held": desk.submit()}
    desk.fail(desk.lease(), FailureKind.GRADER)
    made["elsewhere"] = desk.submit("https://lms.example.org/unlike", queue="other")
    assert found(desk, scope) == [made[name] for name in wanted]
    held = [made[name] for name in wanted if name == "held"]
    assert found(desk, scope, state="held") == held
    assert found(desk, scope, course=COURSE) == held
    assert found(desk, scope, course=f"{COURSE},another") == held
    with desk.storage.read() as tx:
        for name, submission_id in made.items():
            assert selecting.covers(tx, submission_id, scope) is (name in wanted)
        assert not selecting.covers(tx, 9999, scope)


def test_a_trial_is_in_no_selection(desk: Desk) -> None:
    submission_id = desk.submit()
    with desk.storage.write() as tx:
        tx.run(text("UPDATE submissions SET priority = -1000 WHERE id = :of"), of=submission_id)
    assert found(desk) == []
    assert found(desk, state="queued") == []
    assert found(desk, id=str(submission_id)) == []

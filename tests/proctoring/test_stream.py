"""Live streams: whoever comes back misses nothing and hears nothing twice."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import create_engine, text

from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.attempts import Registration, register
from proctoring_hooks.exam import Exam
from proctoring_hooks.store import NO_ATTEMPT, News
from proctoring_hooks.transitions import Actor, By
from tests.proctoring.conftest import COURSE, SECRET_KEY, MakeExam
from tests.proctoring.streams import (
    Stream,
    a_ticket,
    ask,
    place_now,
    streaming,
    tell,
    tell_and_settle,
)
from tests.support import postgres
from xqueue_server.instant import ManualClock
from xqueue_server.live import feed as feeds
from xqueue_server.live import ticket as tickets
from xqueue_server.live.feed import Client, Feed, Gone
from xqueue_server.live.serving import MOST_OF_ONE_HOLDER, LiveApp
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore, leftovers
from xqueue_server.storage.proctoring.news import Place, read_place

RECONNECTS = 100
WRITERS = 4


@pytest.fixture(autouse=True)
def _quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "EVERY_S", 0.01)


@pytest.fixture
def port(storage: Storage, store: ProctoringStore) -> Iterator[int]:
    with streaming(storage) as opened:
        yield opened


# -- over HTTP -----------------------------------------------------------------------------------


def test_a_hundred_reconnects_among_writers_miss_nothing_and_hear_nothing_twice(
    storage: Storage, store: ProctoringStore, port: int
) -> None:
    """Each connection is dropped after a few events, wherever it is, and resumed by its last id."""
    chance = random.Random(7)
    each = 120
    begin = str(place_now(storage))

    def write(writer: int) -> None:
        for number in range(each):
            tell(store, f"{writer}:{number}")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    heard: list[str] = []
    last, connections = begin, 0
    while len(heard) < WRITERS * each:
        stream = Stream(port, a_ticket(), last_event_id=last)
        assert stream.status == 200, stream.body()
        connections += 1
        takes = min(chance.randint(1, 8), WRITERS * each - len(heard))
        for event in islice(stream, takes):
            heard.append(event.data["kind"])
            last = event.id
        stream.close()
    for writer in writers:
        writer.join()

    assert connections >= RECONNECTS
    assert sorted(heard) == sorted(f"{w}:{n}" for w in range(WRITERS) for n in range(each))
    for writer_number in range(WRITERS):  # and what one has written, in its order
        of_one = [kind for kind in heard if kind.startswith(f"{writer_number}:")]
        assert of_one == [f"{writer_number}:{n}" for n in range(each)]


def test_a_stream_tells_only_of_what_its_ticket_is_for(
    store: ProctoringStore, storage: Storage, port: int
) -> None:
    place = place_now(storage)
    one = Stream(port, a_ticket(attempt_id=2), attempt=2, after=place)
    tell(store, "of another", attempt_id=1)
    tell(store, "elsewhere", attempt_id=2, course="course-v1:edX+Other+2026")
    tell(store, "its own", attempt_id=2)
    assert next(iter(one)).data == {"attempt": 2, "kind": "its own"}
    assert one.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "no-store" in one.headers["Cache-Control"]
    one.close()


@pytest.mark.parametrize(
    ("ticket", "query", "key", "status"),
    [
        ({"course_id": "course-v1:edX+Other+2026"}, {}, SECRET_KEY, 403),
        ({"course_id": "course-v1:edX+Other+2026"}, {"course": COURSE}, SECRET_KEY, 403),
        ({"exam_id": 3}, {}, SECRET_KEY, 403),
        ({"exam_id": 3}, {"exam": 4}, SECRET_KEY, 403),
        ({"attempt_id": 3}, {"attempt": 4}, SECRET_KEY, 403),
        ({"lasts_s": -1}, {}, SECRET_KEY, 403),
        ({}, {}, b"x" * 32, 403),
        ({}, {"after": "yesterday"}, SECRET_KEY, 400),
        ({}, {"exam": "'"}, SECRET_KEY, 400),
    ],
)
def test_a_ticket_that_does_not_fit_is_refused(
    port: int, ticket: dict[str, Any], query: dict[str, Any], key: bytes, status: int
) -> None:
    with Stream(port, a_ticket(**ticket), secret_key=key, **query) as stream:
        assert stream.status == status


@pytest.mark.parametrize("ticket", ["", "nonsense", "x" * 10_000])
def test_what_is_no_ticket_is_refused(port: int, ticket: str) -> None:
    assert ask(port, f"/proctoring/events?course={COURSE}&ticket={ticket}")[0] == 403


def test_a_stream_ends_when_its_ticket_does(port: int) -> None:
    with Stream(port, a_ticket(lasts_s=2)) as stream:
        assert list(stream) == []


def test_streams_are_limited_in_all_and_for_one_session(
    storage: Storage, store: ProctoringStore
) -> None:
    with streaming(storage, most_clients=MOST_OF_ONE_HOLDER + 1) as port, ExitStack() as held:

        def status(holder: str) -> int:
            return held.enter_context(Stream(port, a_ticket(holder=holder))).status

        assert {status("one") for _ in range(MOST_OF_ONE_HOLDER)} == {200}
        assert status("one") == 429
        assert status("other") == 200
        assert status("third") == 503


def test_what_it_says_of_itself(port: int) -> None:
    assert ask(port, "/healthz")[0] == 200
    assert ask(port, "/readyz")[0] == 200
    assert ask(port, "/proctoring/console")[0] == 404


# -- what is committed in another order ----------------------------------------------------------


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_transactions_that_commit_in_another_order_are_all_told_once(
    storage: Storage, store: ProctoringStore
) -> None:
    """The first to write is the last to commit; somebody reads meanwhile. SQLite lets one write at
    a time."""
    begin = place_now(storage)
    seen: list[str] = []

    async def listen() -> None:
        feed = Feed(storage, time.monotonic)
        await feed.look()
        client = Client(ticket=a_ticket(), exam_id=None, attempt_id=None)
        await feed.join(client, begin)
        with store.write() as early:
            early.tell(_news("early"))
            await asyncio.to_thread(tell, store, "late")
            await feed.look()
            seen.extend(_taken(client))
            assert seen == [], "what comes later in the order must wait"
        await asyncio.to_thread(tell_and_settle, storage, store, "last")
        await feed.look()
        seen.extend(_taken(client))
        await feed.look()
        seen.extend(_taken(client))

    asyncio.run(listen())
    assert seen == ["early", "late", "last"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_goes_on_in_other_databases_of_the_server_delays_nothing(
    storage: Storage, store: ProctoringStore
) -> None:
    with postgres.database() as url:
        neighbour = create_engine(url)
        with neighbour.begin() as connection:
            connection.execute(text("CREATE TABLE written (now int)"))
            tell_and_settle(storage, store, "meanwhile")
        neighbour.dispose()


def sitting(store: ProctoringStore, exam: Exam, *, user_id: str) -> Attempt:
    asked = Registration(learner=Learner(user_id=user_id), external_id=f"attempt-{user_id}")
    by = By(actor=Actor.LEARNER, who="learner")
    with store.write() as session:
        return register(session, exam, asked, by).attempt


def _news(kind: str) -> News:
    return News(lms="edx", course_id=COURSE, attempt_id=1, kind=kind)


def _taken(client: Client) -> list[str]:
    taken = []
    while not client.queue.empty():
        taken.append(client.queue.get_nowait().kind)
    return taken


# -- coming back ---------------------------------------------------------------------------------


def _joined(storage: Storage, after: Place | None, known: int) -> list[str]:
    """What somebody is told on joining a feed that remembers the last `known` news."""

    async def join() -> list[str]:
        feed = Feed(storage, time.monotonic)
        store = ProctoringStore(storage, SECRET_KEY)
        await feed.look()
        for number in range(known):
            await asyncio.to_thread(tell_and_settle, storage, store, f"new {number}")
        await feed.look()
        client = Client(ticket=a_ticket(), exam_id=None, attempt_id=None)
        return [told.kind for told in await feed.join(client, after)]

    return asyncio.run(join())


def test_who_was_away_since_before_the_process_began_is_told_from_the_database(
    storage: Storage, store: ProctoringStore
) -> None:
    begin = place_now(storage)
    tell_and_settle(storage, store, "old")
    assert _joined(storage, begin, 1) == ["old", "new 0"]


def test_who_is_new_is_told_what_comes(storage: Storage, store: ProctoringStore) -> None:
    tell_and_settle(storage, store, "old")
    assert _joined(storage, None, 1) == []


def test_who_missed_more_than_can_be_told_looks_anew(
    storage: Storage, store: ProctoringStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = place_now(storage)
    monkeypatch.setattr(feeds, "AT_ONCE", 3)
    for number in range(5):
        tell_and_settle(storage, store, str(number))
    with pytest.raises(Gone):
        _joined(storage, begin, 0)
    with streaming(storage) as port:
        stream = Stream(port, a_ticket(), after=begin)
        first = next(iter(stream))
        stream.close()
    assert first.name == "anew"
    reached = read_place(first.id)
    assert reached is not None
    assert begin < reached <= place_now(storage)


def test_who_was_away_for_so_long_that_news_were_removed_looks_anew(
    storage: Storage, store: ProctoringStore, clock: ManualClock
) -> None:
    begin = place_now(storage)
    for number in range(3):
        tell_and_settle(storage, store, f"old {number}")
    between = place_now(storage)
    clock.advance(60)
    tell_and_settle(storage, store, "young")
    assert _joined(storage, begin, 0) == ["old 0", "old 1", "old 2", "young"]
    with storage.write() as tx:
        assert leftovers.remove_news(tx, age_s=60) == 3
        assert leftovers.remove_news(tx, age_s=60) == 0
    with pytest.raises(Gone):
        _joined(storage, begin, 0)
    assert _joined(storage, between, 0) == ["young"]


def test_a_place_of_a_database_that_was_restored_is_told_to_look_anew(
    storage: Storage, store: ProctoringStore
) -> None:
    """There the transactions are counted from the beginning again."""
    with pytest.raises(Gone):
        _joined(storage, Place(10**15, 1), 0)


def test_what_one_process_has_told_another_does_not_tell_again(
    storage: Storage, store: ProctoringStore
) -> None:
    """The second has not looked since; the page that comes to it knows more than it does."""

    async def hear() -> list[str]:
        behind = Feed(storage, time.monotonic)
        await behind.look()
        await asyncio.to_thread(tell_and_settle, storage, store, "told elsewhere")
        client = Client(ticket=a_ticket(), exam_id=None, attempt_id=None)
        await behind.join(client, await asyncio.to_thread(place_now, storage))
        await asyncio.to_thread(tell_and_settle, storage, store, "new")
        await behind.look()
        return _taken(client)

    assert asyncio.run(hear()) == ["new"]


def test_an_exam_s_stream_tells_of_its_attempts_and_of_what_has_none(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam
) -> None:
    exam, other = make_exam(), make_exam(external_id="exam-2", content_id="another")
    begin = place_now(storage)
    attempt = sitting(store, exam, user_id="1")
    sitting(store, other, user_id="2")
    tell_and_settle(storage, store, "of no attempt", attempt_id=NO_ATTEMPT)
    tell_and_settle(storage, store, "of no exam", attempt_id=10**6)

    async def hear(attempt_id: int | None) -> list[int]:
        feed = Feed(storage, time.monotonic)
        await feed.look()
        client = Client(ticket=a_ticket(exam_id=exam.id), exam_id=exam.id, attempt_id=attempt_id)
        return [told.attempt_id for told in await feed.join(client, begin)]

    assert asyncio.run(hear(None)) == [attempt.id, NO_ATTEMPT]
    assert asyncio.run(hear(attempt.id)) == [attempt.id]


# -- a slow reader -------------------------------------------------------------------------------


class Visit:
    """One request to the application itself, whose connection takes bytes while `takes` is set."""

    def __init__(self, app: LiveApp, **query: object) -> None:
        ticket = tickets.written(a_ticket(), SECRET_KEY)
        asked = urlencode({"course": COURSE, "ticket": ticket} | query)
        self.takes = asyncio.Event()
        self.takes.set()
        self.text = ""
        self.heard = asyncio.Event()
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/proctoring/events",
            "query_string": asked.encode(),
            "headers": [],
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: Any) -> None:
        await self.takes.wait()
        self.text += message.get("body", b"").decode()
        self.heard.set()

    @property
    def kinds(self) -> list[str]:
        return [line.split('"')[-2] for line in self.text.splitlines() if line.startswith("data")]

    @property
    def last_id(self) -> str:
        return [line for line in self.text.splitlines() if line.startswith("id: ")][-1][4:]

    async def until(self, count: int) -> None:
        while len(self.kinds) < count:
            self.heard.clear()
            await asyncio.wait_for(self.heard.wait(), 30)


def test_a_slow_reader_is_cut_off_stalls_nobody_and_resumes_by_its_id(
    storage: Storage, store: ProctoringStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LONGEST_QUEUE", 5)
    monkeypatch.setattr("xqueue_server.live.serving.FAREWELL_S", 0.01)

    async def visit() -> None:
        feed, stop = Feed(storage, time.monotonic), asyncio.Event()
        app = LiveApp(feed, stop, SECRET_KEY, most_clients=10, now_s=time.time)
        await feed.look()
        slow, quick = Visit(app), Visit(app)
        await asyncio.to_thread(tell_and_settle, storage, store, "0")
        while len(feed.clients) < 2:
            await asyncio.sleep(0)
        await feed.look()
        await slow.until(1)
        slow.takes.clear()
        for number in range(1, 20):
            await asyncio.to_thread(tell_and_settle, storage, store, str(number))
            await feed.look()
            await quick.until(number + 1)
        await asyncio.wait_for(slow.task, 30)
        assert slow.kinds == ["0"]
        assert not quick.task.done()
        again = Visit(app, after=slow.last_id)
        await again.until(19)
        assert again.kinds == [str(number) for number in range(1, 20)]
        stop.set()
        await asyncio.wait_for(asyncio.gather(quick.task, again.task), 30)
        assert feed.clients == set()

    asyncio.run(visit())


def test_a_silent_stream_says_that_it_lives(storage: Storage, store: ProctoringStore) -> None:
    async def visit() -> None:
        feed, stop = Feed(storage, time.monotonic), asyncio.Event()
        app = LiveApp(feed, stop, SECRET_KEY, most_clients=10, now_s=time.time, heartbeat_s=0.01)
        await feed.look()
        silent = Visit(app)
        while silent.text.count(": alive") < 2:
            silent.heard.clear()
            await asyncio.wait_for(silent.heard.wait(), 30)
        stop.set()
        await silent.task

    asyncio.run(visit())

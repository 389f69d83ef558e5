"""The time by the server's clock: the endpoint, and the countdown that pages make of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from proctoring_hooks.web.exam_service_time import MOST_A_SECOND
from tests.proctoring.exam_pages import application, now_s
from tests.support.postgres import missing_service
from xqueue_server.errors import StorageUnavailable
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.web.proctoring.exams import ASK_EVERY_S, DatabaseTime

CLOCK = Path(__file__).parents[2] / "proctoring_hooks/web/static/clock.js"
DRIVER = Path(__file__).with_name("clock_under_test.js")
TIME = "/exams/api/v1/time"


@pytest.fixture
def client(storage: Storage, store: ProctoringStore, clock: ManualClock) -> FlaskClient:
    return application(storage, store, clock).test_client()


def test_whoever_asks_is_told(client: FlaskClient, clock: ManualClock) -> None:
    answer = client.post(TIME, json={"t1": 12.5})
    assert answer.json == {"t1": 12.5, "t2": now_s(clock), "t3": now_s(clock)}
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.post(f"{TIME}/", json={"t1": -7}).json["t1"] == -7


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"t1": "1"}', b'{"t1": true}', b'{"t1": NaN}', b'{"t1": 1e400}', b"\xff"],
)
def test_what_is_no_instant_is_refused(client: FlaskClient, body: bytes) -> None:
    assert client.post(TIME, data=body).status_code == 400


def test_it_costs_little_whoever_asks(client: FlaskClient, clock: ManualClock) -> None:
    assert client.post(TIME, data=b" " * 300).status_code == 413
    statuses = [client.post(TIME, json={"t1": 0}).status_code for _ in range(MOST_A_SECOND)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    clock.advance(1)
    assert client.post(TIME, json={"t1": 0}).status_code == 200


def test_it_is_the_databases_clock_and_that_is_asked_once_a_minute(
    store: ProctoringStore, clock: ManualClock
) -> None:
    host = [now_s(clock) - 5000.0]  # a host that is far behind
    time_s = DatabaseTime(store, lambda: host[0], lambda: host[0])
    assert time_s() == pytest.approx(now_s(clock), abs=1e-5)
    clock.advance(2)
    host[0] += 2
    assert time_s() == pytest.approx(now_s(clock), abs=1e-5)
    clock.advance(100)  # the database's clock was set
    host[0] += 1
    assert time_s() == pytest.approx(now_s(clock) - 99, abs=1e-5)
    host[0] += ASK_EVERY_S
    assert time_s() == pytest.approx(now_s(clock), abs=1e-5)


class _Away:
    def read(self) -> Any:
        raise StorageUnavailable("away")


def test_without_a_database_the_time_is_not_made_up() -> None:
    with pytest.raises(StorageUnavailable):
        DatabaseTime(_Away(), lambda: 1.0, lambda: 1.0)()  # type: ignore[arg-type]


# -- the page's side -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted() -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        missing_service("node is not installed")
    assert node is not None
    runs = [
        {"skew": skew, "there": there, "back": back, "busy": 0.003, "times": 5, "step": step}
        for skew, (there, back), step in product(
            (-3600, 0, 3600),
            (
                ([0.001], [0.001]),
                ([0.2], [0.001]),
                ([0.001], [0.2]),
                ([0.2, 0.15, 0.01, 0.2, 0.2], [0.001, 0.1, 0.002, 0.2, 0.0]),
            ),
            (0, -900),
        )
    ]
    ran = subprocess.run(
        [node, DRIVER, CLOCK, json.dumps(runs)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    assert len(found["found"]) == len(runs)
    return found


def test_a_countdown_is_wrong_by_half_of_the_shortest_delay_at_most(
    counted: dict[str, Any],
) -> None:
    for each in counted["found"]:
        assert each["error"] <= each["bound"] + 1e-5
        assert each["bound"] <= 0.1005 + 1e-5
        assert each["left"] == pytest.approx(60, abs=each["bound"] + 1e-3)
        assert each["asked"] == 5
    # Of questions with different delays, the shortest counts: 10 ms there, 2 ms back.
    assert min(each["bound"] for each in counted["found"] if each["bound"] > 0.0011) == (
        pytest.approx(0.006, abs=1e-5)
    )


def test_putting_ones_clock_back_gains_nothing(counted: dict[str, Any]) -> None:
    assert {each["gained"] for each in counted["found"]} == {0}


def test_a_lost_answer_does_not_matter_and_none_at_all_is_said(counted: dict[str, Any]) -> None:
    assert counted["some"] == 5
    assert counted["failure"] == "no network"
    assert counted["wrong"] == "The server did not tell the time"


def test_instants_are_exact_and_what_is_shown_is_never_over_too_early(
    counted: dict[str, Any],
) -> None:
    assert counted["instant"] == pytest.approx(1767225600.123456, abs=1e-6)
    assert counted["shown"] == ["00:00", "00:01", "01:00", "01:01", "1:00:00", "1:01:02"]
    assert counted["over"] == 0

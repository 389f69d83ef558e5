"""The exam service as a part of the whole server."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.proctoring.exam_pages import MFE, SERVED, application, person, token
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.errors import StorageUnavailable
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.session import ProctoringSession

SECRET_KEY = "s" * 32


@pytest.fixture
def client(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("XQUEUE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XQUEUE_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("XQUEUE_PUBLIC_URL", "https://xqueue.example")
    with ProctoringStore(storage, SECRET_KEY.encode()).write() as session:
        session.lmses.add(SERVED)
    return create_app(settings.load(), storage).test_client()


def test_the_server_serves_it_and_keeps_its_own_paths(
    client: FlaskClient, clock: ManualClock
) -> None:
    assert client.get("/exams/health/").json["overall_status"] == "OK"
    assert client.get("/csrf/api/v1/token").json["csrfToken"]
    assert set(client.post("/exams/api/v1/time", json={"t1": 0}).json) == {"t1", "t2", "t3"}
    assert client.get("/exams/nothing").json == {"detail": "Not found."}
    said = {"Authorization": f"JWT {token(clock, person(17, 'jane'))}"}
    assert client.get("/exams/api/v1/exams/attempt/latest", headers=said).json == {}
    assert client.get("/api/v1/exams/attempt/latest", headers=said).status_code in (401, 404)


class _Away:
    def read(self) -> AbstractContextManager[ProctoringSession]:
        raise StorageUnavailable("away")

    write = read


def test_without_a_database_it_says_to_try_again(storage: Storage, clock: ManualClock) -> None:
    client = application(storage, _Away(), clock).test_client()  # type: ignore[arg-type]
    said = {"Authorization": f"JWT {token(clock, person(17, 'jane'))}", "Origin": MFE}
    for answer in (
        client.get("/exams/api/v1/exams/attempt/latest", headers=said),
        client.put("/exams/api/v1/exams/attempt/1", json={"action": "submit"}, headers=said),
    ):
        assert (answer.status_code, list(answer.json)) == (503, ["detail"])
        assert answer.headers["Retry-After"] == "2"
    health = client.get("/exams/health/")
    assert (health.status_code, health.json["overall_status"]) == (503, "UNAVAILABLE")

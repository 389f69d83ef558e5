"""/heartbeat: what is wrong, in the LMS's own form, and whether the server can work."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from tests.server.web_client import Server
from xqueue_server.app import create_app
from xqueue_server.settings import Settings
from xqueue_server.storage import beats, open_storage
from xqueue_server.upkeep.beating import DELIVER, SWEEP, heart

WELL = {"status": True, "message": "OK"}


def heartbeat(server: Server, status: int) -> dict[str, Any]:
    answer = server.nobody.raw("GET", "/heartbeat")
    assert answer.status_code == status
    parsed: dict[str, Any] = json.loads(answer.data)
    return parsed


def test_a_server_that_has_everything_is_well(server: Server) -> None:
    for process in (DELIVER, SWEEP):
        heart(server.desk.storage, process)()
    assert heartbeat(server, 200) == dict.fromkeys(
        ("database", "migrations", "files", "redis", "deliver", "sweep"), WELL
    )


def test_a_process_that_gives_no_sign_of_life_is_named_and_submissions_are_still_taken(
    server: Server,
) -> None:
    heart(server.desk.storage, DELIVER)()
    server.desk.clock.advance(beats.SILENT_S + 1)
    told = heartbeat(server, 200)
    assert (told["deliver"]["status"], told["sweep"]["status"]) == (False, False)
    assert told["deliver"]["message"] == "no sign of life for 61 s; start: xqueue-server deliver"
    assert told["sweep"]["message"].startswith("no sign of life for a day or more")


def test_without_its_database_it_can_not_work(server: Server, server_settings: Settings) -> None:
    away = open_storage("postgresql://nobody:hunter2@127.0.0.1:1/nothing")
    told = heartbeat(Server(create_app(server_settings, away), server.desk), 503)
    assert (told["database"]["status"], told["migrations"]["status"]) == (False, False)
    assert told["files"] == WELL
    assert "hunter2" not in json.dumps(told)
    away.close()


def test_without_its_redis_it_is_slower_but_works(
    server: Server, server_settings: Settings
) -> None:
    lonely = dataclasses.replace(server_settings, redis_url="redis://:hunter2@127.0.0.1:1/0")
    told = heartbeat(Server(create_app(lonely, server.desk.storage), server.desk), 200)
    assert told["redis"]["status"] is False
    assert "polling" in told["redis"]["message"]
    assert "hunter2" not in json.dumps(told)


def test_without_a_place_for_files_it_can_not_work(
    server: Server, server_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    nowhere = dataclasses.replace(server_settings, data_dir=tmp_path / "a file" / "data")
    told = heartbeat(Server(create_app(nowhere, server.desk.storage), server.desk), 503)
    assert told["files"]["status"] is False


def test_the_protocols_own_status_is_as_ever(server: Server) -> None:
    answer = server.nobody.raw("GET", "/xqueue/status/")
    assert answer.data == b'{"return_code": 0, "content": "OK"}'

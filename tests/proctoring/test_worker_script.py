"""Our worker script, in Node: every message is answered, in time, whatever the network does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proctoring_hooks.worker.bundles import our_bundle, our_source
from tests.support.postgres import missing_service

SERVER = "https://xqueue.example.org/proctoring/worker"
CONFIGURED = {"status": 200, "json": {"protocol": 1, "ticket": "t1"}}
TAKEN = {"status": 204}
DOWN = {"unreachable": True}
HANGS = {"hangs": True}
MESSAGES = [
    ("startExamAttempt", "start", "examAttemptStarted", "examAttemptStartFailed"),
    ("ping", "ping", "echo", "pingFailed"),
    ("endExamAttempt", "end", "examAttemptEnded", "examAttemptEndFailed"),
]
Seen = dict[str, Any]


def play(
    *steps: dict[str, Any], ping_outage: str = "fail", env: dict[str, str] | None = None
) -> Seen:
    """What the worker posted and asked for; in an LMS's own build where `env` is given."""
    node = shutil.which("node")
    if node is None:
        missing_service("node")
    hosted = our_bundle(SERVER, ping_outage=ping_outage).content
    script = hosted if env is None else our_source()
    done = subprocess.run(
        [node, str(Path(__file__).with_name("worker_scope.js"))],
        input=json.dumps({"script": script.decode(), "env": env, "steps": steps}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def say(kind: str, timeout: int | None = 5000, attempt: Any = "a-1") -> dict[str, Any]:
    message = {"type": kind, "timeout": timeout, "attemptExternalId": attempt}
    return {"message": {key: value for key, value in message.items() if value is not None}}


@pytest.mark.parametrize(("kind", "path", "done", "failed"), MESSAGES)
def test_a_message_is_told_to_the_server_and_answered(
    kind: str, path: str, done: str, failed: str
) -> None:
    seen = play({"network": [CONFIGURED, TAKEN]}, say(kind))
    assert seen["posted"] == [{"at": 0, "type": done}]
    configuration, report = seen["asked"]
    assert configuration["url"] == f"{SERVER}/config?attempt=a-1"
    assert (report["method"], report["url"]) == ("POST", f"{SERVER}/{path}")
    assert json.loads(report["body"]) == {"ticket": "t1"}
    assert {asked["credentials"] for asked in seen["asked"]} == {"omit"}
    assert seen["timersLeft"] == 0


@pytest.mark.parametrize(("kind", "path", "done", "failed"), MESSAGES)
def test_a_page_that_names_no_attempt_hears_whether_the_service_is_there(
    kind: str, path: str, done: str, failed: str
) -> None:
    bare = say(kind, timeout=None, attempt=None)
    seen = play({"network": [CONFIGURED]}, bare, {"network": [DOWN] * 9}, bare, {"advance": 5000})
    assert [said["type"] for said in seen["posted"]] == [done, failed]
    assert seen["asked"][0]["url"] == f"{SERVER}/config"
    assert {asked["method"] for asked in seen["asked"]} == {"GET"}


@pytest.mark.parametrize("hangs", [True, "deaf"])
def test_a_server_that_does_not_answer_is_given_up_before_the_page_gives_up(hangs: Any) -> None:
    timeouts = [5000, None, 0, -4000, "soon"]
    said = [say(kind, timeout) for kind, *_ in MESSAGES for timeout in timeouts]
    seen = play(
        {"network": [{"hangs": hangs}] * 99}, *({**each, "advance": 10_000} for each in said)
    )
    answers = [failed for *_, failed in MESSAGES for _ in timeouts]
    assert [(each["at"], each["type"]) for each in seen["posted"]] == [
        (number * 10_000 + 4000, answer) for number, answer in enumerate(answers)
    ]
    assert all(each["error"]["message"] for each in seen["posted"])
    assert seen["aborted"] == (0 if hangs == "deaf" else len(said))
    assert seen["timersLeft"] == 0


def test_a_page_with_little_time_gets_its_answer_within_it() -> None:
    seen = play({"network": [HANGS] * 9}, say("ping", 1000), {"advance": 5000})
    assert [(said["at"], said["type"]) for said in seen["posted"]] == [(800, "pingFailed")]


def test_a_ping_waits_out_a_short_outage() -> None:
    network = [DOWN, {"status": 502}, HANGS, CONFIGURED, TAKEN]
    seen = play({"network": network}, say("ping", 50_000), {"advance": 50_000})
    assert [(said["at"], said["type"]) for said in seen["posted"]] == [(7000, "echo")]


def test_a_ping_gives_up_well_before_the_page_does() -> None:
    seen = play({"network": [DOWN] * 99}, say("ping", 50_000), {"advance": 60_000})
    (said,) = seen["posted"]
    assert said["type"] == "pingFailed"
    assert said["error"] == {
        "code": "unreachable",
        "message": "The proctoring service can not be reached",
    }
    assert 30_000 <= said["at"] <= 40_000
    assert len(seen["asked"]) <= 41


def test_a_learner_who_waits_for_the_start_is_not_kept_for_a_minute() -> None:
    seen = play({"network": [DOWN] * 99}, say("startExamAttempt", 60_000), {"advance": 60_000})
    assert [said["type"] for said in seen["posted"]] == ["examAttemptStartFailed"]
    assert seen["posted"][0]["at"] <= 4000


def test_an_outage_can_be_kept_from_the_page_but_not_a_refusal() -> None:
    refused = {"status": 404, "json": {"code": "unknown_attempt", "message": "not known here"}}
    seen = play(
        {"network": [DOWN] * 4},
        {**say("ping"), "advance": 5000},
        {"network": [refused]},
        say("ping"),
        {"network": [DOWN] * 4},
        {**say("startExamAttempt"), "advance": 5000},
        ping_outage="echo",
    )
    assert [said["type"] for said in seen["posted"]] == [
        "echo",
        "pingFailed",
        "examAttemptStartFailed",
    ]


def test_a_refusal_is_final_and_in_the_servers_words() -> None:
    refused = {"status": 409, "json": {"code": "not_to_start", "message": "not complete yet"}}
    seen = play({"network": [CONFIGURED, refused]}, say("startExamAttempt"), {"advance": 60_000})
    assert seen["posted"] == [
        {
            "at": 0,
            "type": "examAttemptStartFailed",
            "error": {"code": "not_to_start", "message": "not complete yet"},
        }
    ]
    assert len(seen["asked"]) == 2


def test_an_expired_ticket_is_renewed_past_the_browsers_cache_once() -> None:
    expired = {"status": 401, "json": {"code": "bad_ticket", "message": "expired"}}
    fresh = {"status": 200, "json": {"protocol": 1, "ticket": "t2"}}
    seen = play({"network": [CONFIGURED, expired, fresh, TAKEN]}, say("ping"))
    assert [said["type"] for said in seen["posted"]] == ["echo"]
    assert [asked["cache"] for asked in seen["asked"]] == [
        "default",
        "no-store",
        "reload",
        "no-store",
    ]
    assert json.loads(seen["asked"][3]["body"]) == {"ticket": "t2"}

    seen = play({"network": [CONFIGURED, expired, fresh, expired]}, say("ping"))
    assert [said["type"] for said in seen["posted"]] == ["pingFailed"]


def test_one_ticket_serves_a_worker_that_lives_on_and_each_attempt_has_its_own() -> None:
    network = [CONFIGURED, TAKEN, TAKEN, CONFIGURED, TAKEN]
    other = say("ping", attempt="a-2")
    seen = play({"network": network}, say("startExamAttempt"), say("ping"), other)
    assert [said["type"] for said in seen["posted"]] == ["examAttemptStarted", "echo", "echo"]
    assert [asked["url"].rpartition("/")[2] for asked in seen["asked"]] == [
        "config?attempt=a-1",
        "start",
        "ping",
        "config?attempt=a-2",
        "ping",
    ]


@pytest.mark.parametrize("answer", [{"status": 200}, {"status": 200, "json": {"page": "hello"}}])
def test_something_else_at_the_servers_address_is_a_failure(answer: dict[str, Any]) -> None:
    seen = play({"network": [answer] * 9}, say("startExamAttempt"), {"advance": 5000})
    assert [said["type"] for said in seen["posted"]] == ["examAttemptStartFailed"]
    assert seen["posted"][0]["error"]["code"] == "foreign"


def test_a_fault_in_the_browser_is_answered_too() -> None:
    seen = play({"network": [{"throws": "no fetch here"}] * 9}, say("ping"), {"advance": 5000})
    assert [said["type"] for said in seen["posted"]] == ["pingFailed"]


def test_an_attempts_id_stays_one_parameter() -> None:
    seen = play({"network": [CONFIGURED, TAKEN]}, say("ping", attempt="a&b=/../x"))
    assert seen["asked"][0]["url"] == f"{SERVER}/config?attempt=a%26b%3D%2F..%2Fx"


def test_what_is_no_message_of_ours_is_left_alone() -> None:
    strange = [None, "ping", 3, {}, {"type": "constructor"}, {"type": ["ping"]}, {"type": "echo"}]
    seen = play(*({"message": message} for message in strange))
    assert (seen["posted"], seen["asked"]) == ([], [])


def test_the_page_may_configure_the_handler() -> None:
    options = {"server": "https://other.example.org/w/", "pingOutage": "echo"}
    seen = play(
        {"message": {"type": "config", "options": options}},
        {"network": [DOWN] * 9},
        {**say("ping"), "advance": 5000},
        {"message": {"type": "config"}},
        {"network": [DOWN] * 9},
        {**say("ping"), "advance": 5000},
    )
    assert [said["type"] for said in seen["posted"]] == ["echo", "pingFailed"]
    assert seen["asked"][0]["url"] == "https://other.example.org/w/config?attempt=a-1"
    assert seen["asked"][-1]["url"] == f"{SERVER}/config?attempt=a-1"


def test_built_into_an_lms_it_is_configured_by_the_build() -> None:
    env = {"PROCTORING_HOOKS_WORKER_URL": "https://built.example.org/proctoring/worker"}
    seen = play({"network": [CONFIGURED, TAKEN]}, say("ping"), env=env)
    assert seen["asked"][0]["url"].startswith("https://built.example.org/proctoring/worker/config")
    assert [said["type"] for said in seen["posted"]] == ["echo"]
    assert seen["exports"] == ["Handler"]


def test_built_without_an_address_it_says_so() -> None:
    seen = play(say("startExamAttempt"), say("ping"), say("endExamAttempt"), env={"OTHER": "x"})
    assert [said["type"] for said in seen["posted"]] == [failed for *_, failed in MESSAGES]
    assert {said["error"]["code"] for said in seen["posted"]} == {"no_server"}
    assert seen["asked"] == []

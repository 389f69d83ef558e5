"""Trials: on the learners' way, without an LMS, seen by their author alone."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api.callers import OTHER, ApiClient, Site, manifest, problem_of, publication
from tests.server.builders import QUEUE, change_queue, grade
from xqueue_server.files.local import LocalFiles
from xqueue_server.models.account import Role
from xqueue_server.models.trial import KEPT_S, MOST_FILES_BYTES, MOST_PER_MINUTE, MOST_UNFINISHED
from xqueue_server.storage import browsing
from xqueue_server.upkeep.housekeeping import tidy


def document(**more: Any) -> dict[str, Any]:
    return publication() | {"response": "print(1)"} | more


def begin(site: Site, by: ApiClient | None = None, **more: Any) -> int:
    by = by or site.author
    by.put_bundle()
    response = by.call("POST", "/trials", json=document(**more))
    assert response.status_code == 202, response.get_data(as_text=True)
    begun = response.get_json()
    assert response.headers["Location"] == f"/api/v1/trials/{begun['id']}"
    assert begun["state"] == "queued"
    return int(begun["id"])


def finish(site: Site, body: str | None = None, **fields: str) -> None:
    site.server.grader.post(
        "put_result",
        xqueue_header=site.last_header,
        xqueue_body=body or grade(0.5, correct=False),
        **fields,
    )


def test_a_trial_goes_the_way_of_a_submission_and_comes_back_to_its_author(site: Site) -> None:
    trial = begin(site, payload='{"problem": "p"}', seed=7, files={"d.csv": "YSxi"})
    given = site.lease()
    assert given is not None
    header = json.loads(site.last_header)["grader"]
    assert (header["name"], header["version"], header["trial"]) == ("square", 0, trial)
    body = json.loads(given.body)
    assert (body["student_response"], body["grader_payload"]) == ("print(1)", '{"problem": "p"}')
    assert json.loads(body["student_info"])["random_seed"] == 7
    assert list(json.loads(given.files_json)) == ["d.csv"]
    assert site.author.get(f"/trials/{trial}")["state"] == "running"
    assigned = site.worker.get(f"/trials/{trial}/assignment")
    assert (assigned["digest"], assigned["manifest"]) == (header["digest"], manifest())
    record = {"tests": [{"id": "t1", "status": "passed"}], "more": "kept for the author"}
    finish(site, xqueue_record=json.dumps(record))
    shown = site.author.get(f"/trials/{trial}")
    assert (shown["state"], shown["reply"]) == ("graded", json.loads(grade(0.5, correct=False)))
    assert (shown["record"], shown["detail"]) == (record, None)
    assert site.desk.count("callbacks") == 0
    assert site.desk.count("test_counts") == 0


def test_only_workers_that_ask_get_trials(site: Site) -> None:
    begin(site)
    assert site.lease(grader=False) is None
    assert site.lease(grader=False, wait="0.2") is None
    assert site.leased_grader()["version"] == 0


def test_learners_go_first_and_trials_are_not_in_the_queue_length(site: Site) -> None:
    begin(site)
    submission_id = site.submit()
    assert site.server.grader.get("get_queuelen", queue_name=QUEUE).content == 1
    given = site.lease()
    assert given is not None
    assert given.submission_id == submission_id
    assert site.server.grader.get("get_queuelen", queue_name=QUEUE).content == 0
    assert site.lease() is not None


def test_operators_lists_and_counts_are_of_learners_work(site: Site) -> None:
    begin(site)
    with site.storage.read() as tx:
        assert browsing.latest_submissions(tx) == []
        assert browsing.unfinished_counts(tx) == []


def test_a_waiting_worker_gets_a_trial_at_once(site: Site) -> None:
    """The clock of this test stands still, the wait is real."""
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(site.lease(wait="15")))
    waiting.start()
    begin(site)
    waiting.join(60)
    assert not waiting.is_alive()
    assert got[0] is not None


def test_a_poll_waits_for_the_end(site: Site) -> None:
    trial = begin(site)
    site.lease()
    shown: list[Any] = []
    poller = threading.Thread(
        target=lambda: shown.append(site.author.get(f"/trials/{trial}", wait="15"))
    )
    poller.start()
    finish(site)
    poller.join()
    assert shown[0]["state"] == "graded"


def test_a_poll_ends_without_an_end(site: Site) -> None:
    trial = begin(site)
    assert site.author.get(f"/trials/{trial}", wait="0.2")["state"] == "queued"


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda site: site.server.grader.post(
            "put_failure", xqueue_header=site.last_header, kind="grader", detail="boom"), "grader"),
        (lambda site: finish(site, '{"correct": true}'), "invalid_result"),
    ],
)  # fmt: skip
def test_a_fault_of_a_trial_is_shown_to_its_author_and_nobody_else(
    site: Site, act: Any, reason: str
) -> None:
    trial = begin(site)
    site.lease()
    act(site)
    shown = site.author.get(f"/trials/{trial}")
    assert (shown["state"], shown["held_reason"]) == ("failed", reason)
    assert shown["detail"]
    assert site.desk.count("faults") == 0


def test_a_trial_whose_grader_never_answers_fails(site: Site) -> None:
    change_queue(site.storage, max_attempts=1, lease_s=10)
    trial = begin(site)
    site.lease()
    site.desk.sweep_after(11)
    assert site.author.get(f"/trials/{trial}")["held_reason"] == "attempts"


def test_giving_up_a_trial_tells_no_lms(site: Site) -> None:
    change_queue(site.storage, max_attempts=1, lease_s=10, give_up_after_s=5)
    trial = begin(site)
    site.lease()
    site.desk.sweep_after(11)
    assert site.desk.sweep_after(6).given_up == 1
    assert site.author.get(f"/trials/{trial}")["state"] == "failed"
    assert site.desk.count("callbacks") == 0


def test_another_author_of_the_queue_does_not_see_it(site: Site) -> None:
    trial = begin(site)
    colleague = site.token("colleague", Role.AUTHOR)
    stranger = site.password(site.account("stranger", Role.GRADER, queue=OTHER))
    problem_of(colleague.call("GET", f"/trials/{trial}"), 404, "not-found")
    problem_of(stranger.call("GET", f"/trials/{trial}/assignment"), 404, "not-found")
    problem_of(site.author.call("GET", f"/trials/{trial}/assignment"), 404, "not-found")
    for path in (f"/trials/{trial + 1}", f"/trials/{10**30}"):
        problem_of(site.author.call("GET", path), 404, "not-found")
    problem_of(site.worker.call("GET", f"/trials/{10**30}/assignment"), 404, "not-found")


def test_a_trial_is_held_to_what_a_publication_is(site: Site) -> None:
    site.author.put_bundle()
    for change, code in (
        ({"manifest": manifest(limits={"wall_s": 600})}, "limits"),
        ({"manifest": manifest(isolation="none")}, "isolation"),
        ({"digest": "sha256:" + "0" * 64}, "invalid"),
    ):
        problem_of(site.author.call("POST", "/trials", json=document(**change)), 422, code)
    assert site.desk.count("submissions") == site.desk.count("trials") == 0


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"response": None}, "response"), ({"response": 5}, "response"),
        ({"response": "x" * 700_001}, "response"), ({"payload": {"a": 1}}, "payload"),
        ({"seed": "1"}, "seed"), ({"seed": True}, "seed"), ({"seed": 2**31}, "seed"),
        ({"files": []}, "files"), ({"files": {"a": "not base64!"}}, "files[0]"),
        ({"files": {"a": 5}}, "files[0]"), ({"files": {"": "YQ=="}}, "files[0]"),
        ({"files": {"a\nb": "YQ=="}}, "files[0]"),
        ({"files": {"a": base64.b64encode(b"x" * 10_001).decode()}}, "files[0]"),
        ({"files": dict.fromkeys("abcd", "YQ==")}, "files"),
    ],
)  # fmt: skip
def test_what_can_not_be_run_is_named(site: Site, change: dict[str, Any], where: str) -> None:
    site.author.put_bundle()
    refused = site.author.call("POST", "/trials", json=document(**change))
    problem = problem_of(refused, 422, "invalid")
    assert [e["where"] for e in problem["errors"]] == [where]


def test_all_files_of_a_trial_have_a_limit_together(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are one JSON text in the server's memory, where a learner's files are streams."""
    monkeypatch.setattr("xqueue_server.authoring.trying.MOST_FILES_BYTES", 5)
    begin(site, files={"a": "YWFh", "b": "YmI="})
    refused = site.author.call("POST", "/trials", json=document(files={"a": "YWFh", "b": "YmJi"}))
    assert problem_of(refused, 422, "invalid")["errors"] == [
        {"where": "files", "problem": "have more than 5 bytes together"}
    ]


def test_a_trial_is_not_read_when_it_is_larger_than_any_can_be(site: Site) -> None:
    room = 2 * site.server.services.settings.max_body_bytes + MOST_FILES_BYTES * 4 // 3 + 2**20
    refused = site.author.call("POST", "/trials", json=document(files={"a": "A" * room}))
    problem_of(refused, 413, "too-large")


def test_trials_begun_at_once_are_counted_one_after_the_other(site: Site) -> None:
    site.author.put_bundle()
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda _: site.author.call("POST", "/trials", json=document()).status_code,
                range(3 * MOST_UNFINISHED),
            )
        )
    assert answers.count(202) == MOST_UNFINISHED
    assert answers.count(429) == 2 * MOST_UNFINISHED


def test_too_many_unfinished_trials_of_one_token_must_wait(site: Site) -> None:
    for _ in range(MOST_UNFINISHED):
        begin(site)
    refused = site.author.call("POST", "/trials", json=document())
    problem_of(refused, 429, "too-many")
    assert int(refused.headers["Retry-After"]) > 0
    begin(site, by=site.token_of("author", Role.AUTHOR))  # another token
    site.lease()
    finish(site)
    begin(site)


def test_too_many_trials_a_minute_must_wait(site: Site) -> None:
    for _ in range(MOST_PER_MINUTE):
        begin(site)
        site.lease()
        finish(site)
    problem_of(site.author.call("POST", "/trials", json=document()), 429, "too-many")
    site.desk.clock.advance(61)
    begin(site)


def test_an_hour_later_nothing_is_left_of_it(site: Site, server_settings: Any) -> None:
    directory = Path(server_settings.data_dir) / "files"
    trial = begin(site, files={"d.csv": "YSxi"})
    site.lease()
    finish(site, xqueue_record='{"tests": []}')
    kept = site.submit()
    files = LocalFiles(directory)
    site.desk.clock.advance(KEPT_S - 1)
    assert tidy(site.storage, files).trials == 0
    assert site.author.get(f"/trials/{trial}")["state"] == "graded"
    site.desk.clock.advance(1)
    problem_of(site.author.call("GET", f"/trials/{trial}"), 404, "not-found")
    assert tidy(site.storage, files).trials == 1
    assert [p for p in directory.rglob("*") if p.is_file()] == []
    assert site.desk.see(kept).state == "queued"
    for table, left in (("trials", 0), ("submissions", 1), ("contents", 1), ("results", 0),
                        ("lease_graders", 0), ("leases", 0)):  # fmt: skip
        assert site.desk.count(table) == left, table


def test_a_result_for_a_trial_that_is_gone_finds_nothing(site: Site) -> None:
    begin(site)
    site.lease()
    site.desk.clock.advance(KEPT_S)
    tidy(site.storage, LocalFiles(Path("unused")))
    answer = site.server.grader.post(
        "put_result", xqueue_header=site.last_header, xqueue_body=grade()
    )
    assert (answer.code, answer.content) == (1, "Submission does not exist")


def test_a_trial_that_expired_in_the_queue_is_not_handed_out(site: Site) -> None:
    begin(site)
    site.desk.clock.advance(KEPT_S)
    assert site.lease() is None


def test_a_worker_without_a_grader_is_given_trials_and_leaves_learners_work(site: Site) -> None:
    waiting = site.submit()
    begin(site)
    assert site.leased_grader(grader="only")["version"] == 0
    assert site.lease(grader="only") is None
    assert site.desk.see(waiting).state == "queued"

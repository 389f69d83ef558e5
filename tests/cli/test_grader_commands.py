"""`xqueue-server grader`, and what `queue` and `submission` say of graders."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.callers import manifest
from tests.cli.conftest import Run
from tests.cli.stored import a_queue, a_result, a_submission
from xqueue_server.cli.grader import image_age
from xqueue_server.models.fault import FaultKind, Occurrence
from xqueue_server.storage import Storage, browsing, faults, lease_graders, readiness
from xqueue_server.storage.readiness import HostReport

IMAGE = "registry.example.org/square@sha256:" + "a" * 64
RunJson = Callable[..., Any]


@pytest.fixture
def publish(run: Run, storage: Storage, tmp_path: Path) -> Callable[..., Any]:
    a_queue(storage)
    bundle = tmp_path / "bundle.tar.gz"
    bundle.write_bytes(b"a bundle")
    path = tmp_path / "manifest.json"

    def publish(*options: str, exit_code: int = 0, **more: Any) -> Any:
        path.write_text(json.dumps(manifest(**more)))
        source = () if "--image" in options else ("--bundle", str(bundle))
        return run(
            "grader", "publish", "q", "--manifest", str(path), *source, *options,
            exit_code=exit_code,
        )  # fmt: skip

    return publish


def test_publishing_listing_showing_and_going_back(
    publish: Callable[..., Any], run: Run, run_json: RunJson
) -> None:
    assert publish().stdout == "Published square version 1 on queue q\n"
    publish("--image", IMAGE)
    publish("--no-activate")
    (listed,) = run_json("grader", "list")
    assert (listed["active"], listed["latest"], listed["default"]) == (2, 3, True)
    assert run("grader", "activate", "q", "square", "1").stdout == "Queue q uses square version 1\n"
    shown = run_json("grader", "show", "q", "square")
    assert (shown["active"], [v["version"] for v in shown["versions"]]) == (1, [3, 2, 1])
    assert shown["versions"][1]["image"] == IMAGE
    table = run("grader", "show", "q", "square").stdout
    assert IMAGE in table
    assert "FORGEABLE" not in table


def test_a_version_that_is_not_there(publish: Callable[..., Any], run: Run) -> None:
    publish()
    refused = run("grader", "activate", "q", "square", "2", exit_code=1)
    assert "has no version 2" in refused.stderr
    run("grader", "activate", "q", "square", str(2**31), exit_code=2)
    run("grader", "show", "q", "cube", exit_code=1)
    run("grader", "list", "--queue", "absent", exit_code=1)


def test_what_can_not_be_published_is_named(publish: Callable[..., Any], run: Run) -> None:
    assert "manifest.base" in publish(base=5, exit_code=1).stderr
    assert "at most 120" in publish(limits={"wall_s": 121}, exit_code=1).stderr
    assert "must be pinned" in publish("--image", "python:3", exit_code=1).stderr


def test_another_default(publish: Callable[..., Any], run: Run, run_json: RunJson) -> None:
    publish()
    publish(name="cube")
    run("grader", "default", "q", "cube")
    assert {g["name"]: g["default"] for g in run_json("grader", "list", "--queue", "q")} == {
        "cube": True,
        "square": False,
    }


def test_limits_of_a_queue(publish: Callable[..., Any], run: Run, run_json: RunJson) -> None:
    run("queue", "limits", "q", "--wall-s", "10", "--memory-mb", "64", "--pids", "8")
    assert "at most 10" in publish(exit_code=1).stderr
    own = run_json("queue", "show", "q")["graders"]
    assert (own["max_wall_s"], own["max_memory_bytes"], own["max_cpus"]) == (10, 64 << 20, None)
    run("queue", "limits", "q", "--reset", "--cpus", "1.5")
    own = run_json("queue", "show", "q")["graders"]
    assert (own["max_wall_s"], own["max_memory_bytes"], own["max_cpus"]) == (None, None, 1.5)
    publish()
    run("queue", "limits", "q", exit_code=2)
    run("queue", "limits", "absent", "--pids", "9", exit_code=1)


def test_a_forgeable_grader_needs_a_reason_and_is_marked(
    publish: Callable[..., Any], run: Run, run_json: RunJson
) -> None:
    assert "allow-legacy" in publish(isolation="none", exit_code=1).stderr
    run("queue", "allow-legacy", "q", exit_code=2)
    run("queue", "allow-legacy", "q", "--reason", " ", exit_code=2)
    allowed = run("queue", "allow-legacy", "q", "--reason", "until summer")
    assert "FORGEABLE" in allowed.stdout
    publish(isolation="none")
    for command in (("queue", "list"), ("queue", "show", "q"), ("grader", "list"),
                    ("grader", "show", "q", "square")):  # fmt: skip
        assert "FORGEABLE" in run(*command).stdout, command
    assert run_json("queue", "list")[0]["graders"]["forgeable"] is True
    run("queue", "forbid-legacy", "q")
    assert "FORGEABLE" not in run("queue", "list").stdout
    assert "allow-legacy" in run("grader", "activate", "q", "square", "1", exit_code=1).stderr


def test_a_submission_shows_what_graded_it(
    publish: Callable[..., Any], run: Run, run_json: RunJson, storage: Storage
) -> None:
    submission_id = a_submission(storage)
    assert "Graders" not in run("submission", "show", str(submission_id)).stdout
    for attempt in (1, 2):
        with storage.write() as tx:
            lease_graders.record(
                tx, key_hash=bytes([attempt]) * 32, submission_id=submission_id, attempt=attempt,
                grader="square", version=attempt + 6, isolation=None,
            )  # fmt: skip
    shown = run_json("submission", "show", str(submission_id))
    assert [(g["attempt"], g["grader"], g["version"]) for g in shown["graders"]] == [
        (1, "square", 7),
        (2, "square", 8),
    ]
    assert "square" in run("submission", "show", str(submission_id)).stdout


def test_an_operator_chooses_the_isolation_of_a_queue(
    publish: Callable[..., Any], run: Run, run_json: RunJson, storage: Storage
) -> None:
    publish()
    assert "ISOLATION" not in run("queue", "list").stdout
    said = run("queue", "isolation", "q", "split-container", "--runtime", "runsc").stdout
    assert said == (
        "Graders of queue q that demand no isolation run with split-container with runsc\n"
    )
    own = run_json("queue", "show", "q")["graders"]
    assert (own["isolation"], own["runtime"]) == ("split-container", "runsc")
    for command in (("queue", "list"), ("queue", "show", "q"), ("grader", "list"),
                    ("grader", "show", "q", "square")):  # fmt: skip
        assert "split-container with runsc" in run(*command).stdout, command
    (listed,) = run_json("grader", "list")
    assert listed["queue_isolation"] == {"isolation": "split-container", "runtime": "runsc"}
    run("queue", "isolation", "q", "box")
    publish(isolation="split-uid")
    assert run_json("grader", "show", "q", "square")["queue_isolation"] is None
    assert "default of each host" in run("queue", "isolation", "q", "--author-decides").stdout
    own = run_json("queue", "show", "q")["graders"]
    assert (own["isolation"], own["runtime"]) == (None, None)
    with storage.read() as tx:
        found = browsing.latest_events(tx, subject="queue q")
    assert [e.detail for e in found if e.why == "isolation"] == [
        "isolation=None, runtime=None",
        "isolation=box, runtime=None",
        "isolation=split-container, runtime=runsc",
    ]


@pytest.mark.parametrize(
    "wrong",
    [(), ("none",), ("strong",), ("box", "--runtime", "runsc"), ("--runtime", "runsc"),
     ("box", "--author-decides"), ("--author-decides", "--runtime", "runc")],
)  # fmt: skip
def test_an_isolation_that_can_not_be_chosen_is_wrong_usage(
    publish: Callable[..., Any], run: Run, wrong: tuple[str, ...]
) -> None:
    run("queue", "isolation", "q", *wrong, exit_code=2)
    run("queue", "isolation", "absent", "box", exit_code=1)


def test_a_submission_that_can_have_graded_itself_is_marked_wherever_it_is_shown(
    run: Run, run_json: RunJson, storage: Storage
) -> None:
    a_queue(storage)
    plain, handed_out, graded = (a_submission(storage) for _ in range(3))
    a_result(storage, plain)
    assert "FORGEABLE" not in run("submission", "list").stdout
    with storage.write() as tx:
        lease_graders.record(
            tx, key_hash=b"k" * 32, submission_id=handed_out, attempt=1, grader="old", version=1,
            isolation="none",
        )  # fmt: skip
    a_result(storage, graded, forgeable=True)
    assert {s["id"]: s["forgeable"] for s in run_json("submission", "list")} == {
        plain: False, handed_out: True, graded: True,
    }  # fmt: skip
    assert run("submission", "list").stdout.count("FORGEABLE") == 2
    for submission_id, times in ((plain, 0), (handed_out, 2), (graded, 2)):
        shown = run("submission", "show", str(submission_id)).stdout
        assert shown.count("FORGEABLE") == times, shown
        assert run_json("submission", "show", str(submission_id))["forgeable"] is bool(times)


def test_a_fault_marks_the_submissions_that_can_have_graded_themselves(
    run: Run, run_json: RunJson, storage: Storage
) -> None:
    a_queue(storage)
    submission_id = a_submission(storage)
    a_result(storage, submission_id, forgeable=True)
    occurrence = Occurrence(
        queue="q", submission_id=submission_id, grader=None, version=None,
        kind=FaultKind.GRADER, detail="boom",
    )  # fmt: skip
    with storage.write() as tx:
        fault_id = str(faults.count(tx, occurrence))
    assert "FORGEABLE" in run("fault", "show", fault_id).stdout
    (held,) = run_json("fault", "show", fault_id)["submissions"]
    assert (held["submission_id"], held["forgeable"]) == (submission_id, True)


def test_who_published_is_on_the_record(publish: Callable[..., Any], storage: Storage) -> None:
    publish()
    with storage.read() as tx:
        found = browsing.latest_events(tx, subject="queue q")
    assert {e.actor.split()[0] for e in found} == {"operator"}


def test_how_old_the_base_of_an_image_is(
    publish: Callable[..., Any], run: Run, run_json: RunJson, storage: Storage
) -> None:
    publish()
    assert run_json("grader", "list")[0]["image_created"] is None
    now = datetime.now(UTC)
    for host, days in (("new", 10), ("old", 91)):
        report = HostReport(
            queue="q",
            name="square",
            version=1,
            host=host,
            is_ready=True,
            problem=None,
            image_created=now - timedelta(days=days),
        )
        with storage.write() as tx:
            readiness.store(tx, report)
    assert "91 days, OLD: build it anew" in run("grader", "list").stdout
    shown = run("grader", "show", "q", "square").stdout
    assert re.search(r"^new .* 10 days$", shown, re.M)
    assert re.search(r"^old .* 91 days, OLD: build it anew$", shown, re.M)


@pytest.mark.parametrize(
    ("days", "shown"), [(0, "0 days"), (90, "90 days"), (91, "91 days, OLD: build it anew")]
)
def test_an_image_is_old_after_ninety_days(days: int, shown: str) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert image_age(now - timedelta(days=days), now=now) == shown
    assert image_age(None, now=now) is None

"""`xqueue-server grader`, and what `queue` and `submission` say of graders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stored import a_queue, a_submission
from xqueue_server.storage import Storage, browsing, lease_graders

IMAGE = "registry.example.org/square@sha256:" + "a" * 64
RunJson = Callable[..., Any]


def manifest(name: str = "square", **more: Any) -> dict[str, Any]:
    return {"name": name, "base": "python", "limits": {"wall_s": 30}, **more}


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
    run("queue", "limits", "q", "--reset", "--cpus", "0.5")
    own = run_json("queue", "show", "q")["graders"]
    assert (own["max_wall_s"], own["max_memory_bytes"], own["max_cpus"]) == (None, None, 0.5)
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
                grader="square", version=attempt + 6,
            )  # fmt: skip
    shown = run_json("submission", "show", str(submission_id))
    assert [(g["attempt"], g["grader"], g["version"]) for g in shown["graders"]] == [
        (1, "square", 7),
        (2, "square", 8),
    ]
    assert "square" in run("submission", "show", str(submission_id)).stdout


def test_who_published_is_on_the_record(publish: Callable[..., Any], storage: Storage) -> None:
    publish()
    with storage.read() as tx:
        found = browsing.latest_events(tx, subject="queue q")
    assert {e.actor.split()[0] for e in found} == {"operator"}

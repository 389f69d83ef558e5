"""What the learner's own code can have graded is marked, and runs only while that is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.callers import Site, manifest, publication
from tests.server.builders import QUEUE, grade
from xqueue_server.authoring import trying
from xqueue_server.files.local import LocalFiles
from xqueue_server.storage import forgeable, trials

LEGACY = manifest(isolation="none", tier=2, tests=[])
IMAGE = "registry.example.org/old/cs101@sha256:" + "a" * 64
PATH = '{"grader": "graders/unit1/loops.py"}'


def publish_legacy(site: Site) -> None:
    site.policy(legacy_reason="the old course")
    site.author.publish(digest=None, image=IMAGE, manifest=LEGACY)


def marked(site: Site, *ids: int) -> frozenset[int]:
    with site.storage.read() as tx:
        return forgeable.among(tx, ids)


# -- the payload of old images -------------------------------------------------------------------


def test_a_path_in_the_payload_is_the_business_of_a_legacy_default(site: Site) -> None:
    publish_legacy(site)
    site.submit(payload=PATH)
    assert site.leased_grader()["name"] == "square"


def test_a_published_name_goes_before_it(site: Site) -> None:
    publish_legacy(site)
    site.author.publish("cube")
    site.submit(payload='{"grader": "cube"}')
    site.submit(payload='{"grader": "graders/cube.py"}')
    assert [site.leased_grader()["name"] for _ in range(2)] == ["cube", "square"]


def test_a_legacy_grader_that_is_not_the_default_takes_no_strange_names(site: Site) -> None:
    site.author.publish("cube")
    publish_legacy(site)
    submission_id = site.submit(payload=PATH)
    assert site.lease() is None
    assert "does not have; it has: cube, square" in str(site.desk.see(submission_id).held_detail)


def test_where_it_is_forbidden_again_the_path_does_not_help(site: Site) -> None:
    publish_legacy(site)
    site.policy(legacy_reason=None)
    submission_id = site.submit(payload=PATH)
    assert site.lease() is None
    assert "isolation 'none'" in str(site.desk.see(submission_id).held_detail)


# -- marks ---------------------------------------------------------------------------------------


def test_a_submission_handed_out_so_is_marked(site: Site) -> None:
    plain = site.submit()
    site.lease(grader=False)
    publish_legacy(site)
    handed_out = site.submit()
    site.lease()
    assert marked(site, plain, handed_out) == {handed_out}
    assert marked(site) == frozenset()


@pytest.mark.parametrize(
    ("record", "is_marked"),
    [
        ({"tests": [], "forgeable": True}, True),
        ({"tests": [], "forgeable": False}, False),
        ({"tests": [], "forgeable": "yes"}, False),
        ({"tests": []}, False),
        (None, False),
    ],
)
def test_a_worker_with_a_grader_of_its_own_says_it_with_the_result(
    site: Site, record: Any, is_marked: bool
) -> None:
    submission_id = site.submit()
    site.lease(grader=False)
    fields = {} if record is None else {"xqueue_record": json.dumps(record)}
    site.server.grader.post(
        "put_result", xqueue_header=site.last_header, xqueue_body=grade(), **fields
    )
    assert (marked(site, submission_id) == {submission_id}) is is_marked
    (kept,) = site.desk.results_of(submission_id)
    assert kept.forgeable is is_marked
    assert site.desk.outgoing(submission_id) == [("pending", grade())]  # the LMS hears nothing


def test_submissions_of_a_fault_are_marked(site: Site) -> None:
    publish_legacy(site)
    site.submit()
    site.lease()
    site.server.grader.post(
        "put_failure", xqueue_header=site.last_header, kind="grader", detail="boom"
    )
    (submission,) = site.author.get("/faults/1")["submissions"]
    assert submission["forgeable"] is True


# -- trials --------------------------------------------------------------------------------------


def begin(site: Site, **more: Any) -> int:
    site.author.put_bundle()
    document = publication() | {"response": "print(1)"} | more
    response = site.author.call("POST", "/trials", json=document)
    assert response.status_code == 202, response.get_data(as_text=True)
    return int(response.get_json()["id"])


def test_a_trial_is_marked(site: Site) -> None:
    site.policy(legacy_reason="the old course")
    assert site.author.get(f"/trials/{begin(site)}")["forgeable"] is False
    trial = begin(site, digest=None, image=IMAGE, manifest=LEGACY)
    assert site.author.get(f"/trials/{trial}")["forgeable"] is True


def test_a_trial_begun_before_it_was_forbidden_is_not_run(site: Site) -> None:
    site.policy(legacy_reason="the old course")
    trial = begin(site, digest=None, image=IMAGE, manifest=LEGACY)
    site.policy(legacy_reason=None)
    assert site.lease() is None
    shown = site.author.get(f"/trials/{trial}")
    assert (shown["state"], shown["held_reason"]) == ("failed", "grader")
    assert f"isolation 'none', which queue '{QUEUE}' does not allow" in shown["detail"]


@pytest.mark.parametrize("failing", ["insert", "second file"])
def test_a_trial_that_is_not_stored_leaves_no_files(
    site: Site, monkeypatch: pytest.MonkeyPatch, failing: str, server_settings: Any
) -> None:
    saved: list[str] = []
    save = LocalFiles.save

    def note(self: LocalFiles, source: Any, *, limit_bytes: int) -> tuple[str, int]:
        if failing == "second file" and saved:
            raise OSError("the disk is full")
        blob, size = save(self, source, limit_bytes=limit_bytes)
        saved.append(blob)
        return blob, size

    def refuse(*_args: Any, **_terms: Any) -> int:
        raise trying.StorageUnavailable("the database is away")

    monkeypatch.setattr(LocalFiles, "save", note)
    if failing == "insert":
        monkeypatch.setattr(trials, "add", refuse)
    site.author.put_bundle()
    document = publication() | {"response": "x", "files": {"a": "YWFh", "b": "YmJi"}}
    assert site.author.call("POST", "/trials", json=document).status_code == 503
    assert len(saved) == (1 if failing == "second file" else 2)
    kept = [p for p in (server_settings.data_dir / "files").rglob("*") if p.is_file()]
    assert kept == []
    assert site.desk.count("trials") == site.desk.count("submissions") == 0

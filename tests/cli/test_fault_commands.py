"""`xqueue-server fault` and `queue notify`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stored import a_held_submission, a_queue
from xqueue_server.models.fault import FaultKind, Occurrence
from xqueue_server.storage import Storage, faults, policies

DETAIL = "ValueError: line 5\n\x1b[31m  File grade.py"


def a_fault(storage: Storage, detail: str = DETAIL, queue: str = "q") -> int:
    submission_id = a_held_submission(storage, queue)
    with storage.write() as tx:
        return faults.count(
            tx,
            Occurrence(
                queue=queue,
                submission_id=submission_id,
                grader="square",
                version=3,
                kind=FaultKind.GRADER,
                detail=detail,
            ),
        )


def test_kinds_are_listed_and_one_is_shown(
    run: Run, storage: Storage, run_json: Callable[..., Any]
) -> None:
    a_queue(storage)
    fault_id = a_fault(storage)
    assert a_fault(storage, DETAIL.replace("5", "6")) == fault_id
    a_fault(storage, "another")
    listed = run_json("fault", "list")
    assert [(f["count"], f["signature"]) for f in listed] == [
        (1, "another"),
        (2, "ValueError: line N"),
    ]
    shown = run_json("fault", "show", str(fault_id))
    assert shown["detail"] == DETAIL
    assert [s["submission_id"] for s in shown["submissions"]] == [2, 1]
    text = run("fault", "show", str(fault_id)).stdout
    assert "\\x1b[31m" in text
    assert "\x1b" not in text


def test_filters_and_pages(run: Run, storage: Storage, run_json: Callable[..., Any]) -> None:
    for queue in ("q", "r"):
        a_queue(storage, queue)
        a_fault(storage, queue=queue)
    assert [f["queue"] for f in run_json("fault", "list", "--queue", "r")] == ["r"]
    assert run_json("fault", "list", "--kind", "attempts") == []
    assert len(run_json("fault", "list", "--grader", "square")) == 2
    assert [f["id"] for f in run_json("fault", "list", "--before", "2")] == [1]
    page = run("fault", "list", "--limit", "1")
    assert "--before 2" in page.stderr
    run("fault", "show", "9", exit_code=1)


def test_somebody_is_notified_by_webhook(
    run: Run, storage: Storage, run_json: Callable[..., Any]
) -> None:
    a_queue(storage)
    url = "https://staff.example.org/hook"
    said = run("queue", "notify", "q", "--webhook", url).stdout
    assert url in said
    assert "whsec_" in said
    assert run("queue", "notify", "q", "--webhook", url).stdout == said  # can be asked for again
    assert run_json("queue", "show", "q")["graders"]["webhook_url"] == url
    assert "whsec_" not in run("queue", "show", "q").stdout
    run("queue", "notify", "q", "--off")
    with storage.read() as tx:
        assert policies.of_queue(tx, "q").webhook_url is None


@pytest.mark.parametrize(
    ("options", "exit_code"),
    [
        (("--webhook", "http://staff.example.org/hook"), 1),
        (("--webhook", "ftp://x"), 2),
        (("--webhook", "https://u:p@staff.example.org/"), 2),
        (("--webhook", "https://x y"), 2),
        (("--email", "staff@example.org"), 1),
        (("--email", "nobody"), 2),
        (("--email", "a@b\nc"), 2),
        ((), 2),
        (("--off", "--email", "a@b"), 2),
    ],
)
def test_a_target_that_can_not_be_used_is_refused(
    run: Run, storage: Storage, options: tuple[str, ...], exit_code: int
) -> None:
    a_queue(storage)
    run("queue", "notify", "q", *options, exit_code=exit_code)
    with storage.read() as tx:
        assert policies.of_queue(tx, "q") == policies.Policy(queue="q")


def test_settings_allow_a_private_webhook_and_e_mail(
    run: Run, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_queue(storage)
    monkeypatch.setenv("XQUEUE_WEBHOOK_ORIGINS", "http://10.0.0.5:8080")
    monkeypatch.setenv("XQUEUE_SMTP_SERVER", "localhost:25")
    monkeypatch.setenv("XQUEUE_SMTP_FROM", "xqueue@example.org")
    run("queue", "notify", "q", "--webhook", "http://10.0.0.5:8080/x", "--email", "a@example.org")
    with storage.read() as tx:
        policy = policies.of_queue(tx, "q")
    assert (policy.webhook_url, policy.email) == ("http://10.0.0.5:8080/x", "a@example.org")


def test_the_mail_password_is_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_SMTP_SERVER", "localhost")
    monkeypatch.setenv("XQUEUE_SMTP_FROM", "xqueue@example.org")
    monkeypatch.setenv("XQUEUE_SMTP_PASSWORD", "hunter2")
    listed = run("doctor", "--settings").stdout
    assert "hunter2" not in listed
    assert "(hidden)" in listed

"""`xqueue-server proctoring`: check-worker fails loudly; who is staff of a course."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from proctoring_hooks.exam import Terms
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.web.worker_assets import PREFIX
from proctoring_hooks.worker.bundles import Bundles, our_bundle
from proctoring_hooks.worker.for_lms import webpack_stats
from tests.cli.conftest import Run
from tests.delivery.lms import Received, Reply, running_lms
from tests.proctoring.conftest import EXAM, LMS
from tests.proctoring.outgoing import SignedIn, answered
from xqueue_server.cli.main import main
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

JSON = {"Content-Type": "application/json"}
SCRIPT = {"Content-Type": "text/javascript"}
OURS = Path(__file__).parents[2] / "proctoring_hooks" / "worker" / "package" / "worker.js"


def test_a_good_bundle_passes(tmp_path: Path) -> None:
    (tmp_path / "org__good.js").write_bytes(OURS.read_bytes())
    done = CliRunner().invoke(main, ["proctoring", "check-worker", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "The worker bundles can be used" in done.output


def test_an_html_page_in_its_place_does_not(tmp_path: Path) -> None:
    (tmp_path / "bad.js").write_text("<!DOCTYPE html><title>Not found</title>", "utf-8")
    done = CliRunner().invoke(main, ["proctoring", "check-worker", str(tmp_path)])
    assert done.exit_code == 1
    assert "error" in done.output
    assert "bad.js" in done.output


def test_course_staff_is_granted_listed_and_taken_away(
    run: Run, storage: Storage, environment: dict[str, str]
) -> None:
    store = ProctoringStore(storage, environment["XQUEUE_SECRET_KEY"].encode())
    with store.write() as session:
        session.lmses.add(LMS)
    course = "course-v1:edX+DemoX+2026"
    for user in ("7", "21", "7"):
        run("proctoring", "grant-staff", "edx", course, user)
    assert run("proctoring", "staff", "edx", course).output.split() == ["21", "7"]
    run("proctoring", "revoke-staff", "edx", course, "7")
    assert run("proctoring", "staff", "edx", course).output.split() == ["21"]
    for args in (
        ("revoke-staff", "edx", course, "7"),
        ("grant-staff", "nobody", course, "7"),
        ("grant-staff", "edx", "", "7"),
    ):
        assert "Traceback" not in run("proctoring", *args, exit_code=1).output


# -- check ---------------------------------------------------------------------------------------


@pytest.fixture
def store(storage: Storage, environment: dict[str, str]) -> ProctoringStore:
    return ProctoringStore(storage, environment["XQUEUE_SECRET_KEY"].encode())


@pytest.fixture
def everything(
    store: ProctoringStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[SignedIn, SignedIn]]:
    """An LMS and a provider that are well, and this server's bundles beside the LMS."""
    with running_lms() as lms, running_lms() as watcher:
        known = SignedIn(lms)
        signed_in, lms.answer = lms.answer, lambda got: _bundle(got) or signed_in(got)
        entry = Entry(
            name="watcher",
            plugin="rest",
            settings={"base_url": watcher.origin, "client_id": "us"},
            secrets={"client_secret": "s", "obfuscation_key": "o"},
        )
        with store.write() as session:
            session.lmses.add(replace(LMS, base_url=lms.origin, origins=(lms.origin,)))
            session.recipients.put_provider(entry)
            session.exams.add(replace(EXAM, terms=Terms(provider="watcher")))
        monkeypatch.setenv("XQUEUE_LMS_ORIGINS", lms.origin)
        monkeypatch.setenv("XQUEUE_PUBLIC_URL", lms.origin)
        yield known, SignedIn(watcher)


def _bundle(got: Received) -> Reply | None:
    """What our server serves."""
    bundles = Bundles([our_bundle("http://127.0.0.1/proctoring/worker")])
    base_url = f"http://{got.headers['host']}{PREFIX}"
    if got.path == f"{PREFIX}/webpack-worker-stats.json":
        return Reply(body=json.dumps(webpack_stats(bundles, base_url)).encode(), headers=JSON)
    if bundle := bundles.hashed(got.path.removeprefix(f"{PREFIX}/")):
        return Reply(body=bundle.content, headers=SCRIPT)
    return None


def test_a_check_finds_all_that_exams_rely_on(
    run: Run, everything: tuple[SignedIn, SignedIn]
) -> None:
    _, watcher = everything
    said = run("proctoring", "check", "edx")
    assert [line.partition(":")[0] for line in said.stdout.splitlines()] == ["ok"] * 4, said.stdout
    assert [path for _, path, _ in watcher.told] == ["/api/v1/config/"]


def test_a_check_proves_that_the_lms_tells_of_its_own_exams(
    run: Run, everything: tuple[SignedIn, SignedIn]
) -> None:
    lms, _ = everything
    run("lms", "set", "edx", "--forward")
    lms.answers = [answered({})]
    said = run("proctoring", "check", "edx")
    assert "ok: exams that edx keeps: it tells us of them" in said.stdout
    path = "/api/edx_proctoring/v1/proctored_exam/active_attempt?user_id=1"
    assert ("GET", path) in [(call.method, call.path) for call in lms.calls]
    lms.answers = [answered({"detail": "Must be a Staff User"}, status=403)]
    said = run("proctoring", "check", "edx", exit_code=1)
    assert "fail: exams that edx keeps: answered 403" in said.stdout
    assert "make the user of its OAuth2 client our-client staff there" in said.stdout


def test_a_check_names_what_is_missing_and_what_to_do(
    run: Run, everything: tuple[SignedIn, SignedIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    lms, watcher = everything
    lms.tokens, watcher.tokens = [401], [401]
    monkeypatch.setenv("XQUEUE_LMS_ORIGINS", "https://other.example")
    monkeypatch.setenv("XQUEUE_PUBLIC_URL", f"{lms.server.origin}/elsewhere")
    said = run("proctoring", "check", "edx", exit_code=1).stdout
    for expected in (
        f"fail: edx at {lms.server.origin}: ",
        "xqueue-server lms rotate",
        f"fail: {lms.server.origin}: no grade may go there",
        "add it to XQUEUE_LMS_ORIGINS",
        "fail: provider watcher: ",
        "fail: " + lms.server.origin + "/elsewhere/proctoring/worker",
        "does a proxy pass /proctoring/worker on to it?",
    ):
        assert expected in said

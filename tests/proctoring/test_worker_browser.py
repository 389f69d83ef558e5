"""The worker in a real browser: in a Worker made from a blob, from another origin than its page."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from flask import Flask, Response
from playwright.sync_api import Browser, Page, sync_playwright

from proctoring_hooks.statuses import Status
from proctoring_hooks.worker.bundles import our_bundle, our_source
from proctoring_hooks.worker.liveness import Report
from tests.admin.browser import FLAGS
from tests.proctoring.worker_site import (
    POLICY,
    FakeLiveness,
    Hours,
    application,
    exam_page,
    serving,
)
from tests.support.postgres import missing_service

BROWSER = Path("/usr/bin/chromium")
ATTEMPTS = {"a-1": Status.READY_TO_START, "a-2": Status.CREATED}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not BROWSER.exists():
        missing_service("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield running
        running.close()


@dataclass(kw_only=True)
class Site:
    """A page in the browser, and the server that its worker comes from."""

    page: Page
    bundle: str
    liveness: FakeLiveness
    origins: dict[str, str]
    server: ExitStack
    """Closing it takes the server down."""
    answering: list[WSGIApplication]
    """What answers there: the only one."""

    def say(self, kind: str, **rest: Any) -> dict[str, Any]:
        return self.page.evaluate(
            "([bundle, message]) => say(bundle, message)", [self.bundle, {"type": kind, **rest}]
        )


def start_host(stack: ExitStack, app: WSGIApplication) -> str:
    return stack.enter_context(serving(app))


@pytest.fixture
def site(browser: Browser) -> Iterator[Site]:
    liveness, origins = FakeLiveness(ATTEMPTS), {}
    with ExitStack() as lms, ExitStack() as ours:
        held: list[WSGIApplication] = []
        host = start_host(ours, lambda *call: held[0](*call))
        hosting = application(liveness, Hours(), host=host, origins=origins)
        held.append(hosting)
        lms_url = start_host(lms, exam_page(host))
        origins[lms_url] = "edx"
        stats = hosting.test_client().get("/proctoring/worker/webpack-worker-stats.json").json
        (asset,) = stats["assets"].values()
        context = browser.new_context()
        page = context.new_page()
        page.goto(lms_url)
        yield Site(
            page=page,
            bundle=asset["publicPath"],
            liveness=liveness,
            origins=origins,
            server=ours,
            answering=held,
        )
        context.close()


def test_start_ping_and_end_reach_the_server_of_another_origin(site: Site) -> None:
    started = site.say("startExamAttempt", timeout=5000, attemptExternalId="a-1")
    pinged = site.say("ping", timeout=50_000, attemptExternalId="a-1")
    ended = site.say("endExamAttempt", timeout=0, attemptExternalId="a-1")
    legacy = site.say("ping")
    assert [started, pinged, ended, legacy] == [
        {"type": "examAttemptStarted"},
        {"type": "echo"},
        {"type": "examAttemptEnded"},
        {"type": "echo"},
    ]
    assert site.liveness.told == [
        ("a-1", Report.START),
        ("a-1", Report.PING),
        ("a-1", Report.END),
    ]


def test_the_servers_refusal_is_what_the_page_hears(site: Site) -> None:
    assert site.say("startExamAttempt", timeout=5000, attemptExternalId="a-2") == {
        "type": "examAttemptStartFailed",
        "error": {
            "code": "not_to_start",
            "message": "The proctoring checks of this attempt are not complete yet",
        },
    }
    refused = site.say("ping", timeout=50_000, attemptExternalId="nobodys")
    assert refused["type"] == "pingFailed"
    assert refused["error"]["code"] == "unknown_attempt"


def test_a_server_that_is_down_is_a_failure_and_no_silence(site: Site) -> None:
    """The bundle itself is in the browser's cache, for ever, by its name."""
    assert site.say("ping", timeout=50_000, attemptExternalId="a-1") == {"type": "echo"}
    site.server.close()
    for kind, failed in [
        ("startExamAttempt", "examAttemptStartFailed"),
        ("endExamAttempt", "examAttemptEndFailed"),
    ]:
        # Of a second no part is left for another try of a start, which might be cut short.
        answer = site.say(kind, timeout=1250, attemptExternalId="a-1")
        assert (answer["type"], answer["error"]["code"]) == (failed, "unreachable")


def test_a_server_that_breaks_or_keeps_silent_is_a_failure_in_time(site: Site) -> None:
    """It answers preflights, and nothing more."""
    preflight, is_over = site.answering[0], threading.Event()

    def broken(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return preflight(environ, start)
        allowed = ("Access-Control-Allow-Origin", environ.get("HTTP_ORIGIN", "*"))
        start("500 Broken", [("Content-Type", "text/html"), allowed])
        return [b"<h1>Broken</h1>"]

    def silent(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        is_over.wait()
        return broken(environ, start)

    assert site.say("ping", timeout=50_000, attemptExternalId="a-1") == {"type": "echo"}
    for app, code, timeout in ((broken, "http_500", 5000), (silent, "timeout", 1200)):
        site.answering[0] = app
        said = site.say("startExamAttempt", timeout=timeout, attemptExternalId="a-1")
        assert (said["type"], said["error"]["code"]) == ("examAttemptStartFailed", code)
    is_over.set()


def test_without_a_bundle_there_is_no_worker_and_the_page_hears_of_it(site: Site) -> None:
    site.bundle = site.bundle.replace(".js", "-gone.js")
    assert site.say("ping", timeout=50_000, attemptExternalId="a-1") == {"type": "no worker"}


@pytest.mark.parametrize(("outage", "answer"), [("echo", "echo"), ("fail", "pingFailed")])
def test_what_a_ping_hears_of_an_outage_is_a_setting(
    browser: Browser, outage: str, answer: str
) -> None:
    """The bundle is there; what it speaks to is not."""
    bundle = our_bundle("http://127.0.0.1:9/proctoring/worker", ping_outage=outage)
    scripts = Flask("scripts")

    @scripts.get("/worker.js")
    def script() -> Response:
        headers = {"Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(bundle.content, mimetype="text/javascript", headers=headers)

    with serving(scripts) as host, serving(exam_page(f"{host} http://127.0.0.1:9")) as lms_url:
        page = browser.new_page()
        page.goto(lms_url)
        message = {"type": "ping", "timeout": 1000, "attemptExternalId": "a-1"}
        said = page.evaluate("([at, what]) => say(at, what)", [f"{host}/worker.js", message])
        page.close()
    assert said["type"] == answer


def test_a_page_of_an_unknown_origin_gets_no_answer_to_read(site: Site, browser: Browser) -> None:
    host = site.bundle.partition("/proctoring")[0]
    with serving(exam_page(host)) as stranger:
        site.page.goto(stranger)
        answer = site.say("startExamAttempt", timeout=5000, attemptExternalId="a-1")
    assert (answer["type"], answer["error"]["code"]) == ("examAttemptStartFailed", "unreachable")
    assert site.liveness.told == []


@pytest.mark.parametrize(
    ("denied", "answer"),
    [
        ("worker-src blob:", "no worker"),
        ("script-src 'self' {host}", "no worker"),
        ("connect-src {host}", "examAttemptStartFailed"),
    ],
)
def test_a_page_needs_each_part_of_the_policy(site: Site, denied: str, answer: str) -> None:
    host = site.bundle.partition("/proctoring")[0]
    policy = [part for part in POLICY if part != denied]
    if denied.startswith("script-src"):
        policy.append("script-src 'self'")
    with serving(exam_page(host, policy)) as lms_url:
        site.origins[lms_url] = "edx"
        site.page.goto(lms_url)
        said = site.say("startExamAttempt", timeout=1500, attemptExternalId="a-1")
    assert said["type"] == answer
    assert site.liveness.told == []


def test_with_another_type_than_javascript_there_is_no_worker(browser: Browser) -> None:
    """What `check_worker` calls an error is one."""
    wrong = Flask("wrong")

    @wrong.get("/worker.js")
    def script() -> Response:
        kind = {"X-Content-Type-Options": "nosniff"}
        return Response(our_source(), mimetype="text/plain", headers=kind)

    with serving(wrong) as host, serving(exam_page(host)) as lms_url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(lms_url)
        answer = page.evaluate("(bundle) => say(bundle, { type: 'ping' })", f"{host}/worker.js")
        context.close()
    assert answer == {"type": "no worker"}

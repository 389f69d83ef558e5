"""Proctors and learners in a real browser, at the processes that an operator runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from deploy.demo.processes import LongRunning, answers_http, command, free_port, stop_all
from proctoring_hooks.exam import Exam, Terms
from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action, Actor
from tests.admin.browser import FLAGS, START_S, Tab, open_tab
from tests.proctoring.conftest import COURSE, EXAM, LMS
from tests.proctoring.one_address import one_address
from tests.proctoring.site import act, begun, link_of, look, sitting, submitted
from tests.server.builders import PASSWORD, add_account
from tests.support.postgres import missing_service
from tests.worker.fakes import eventually
from xqueue_server.models.account import Role
from xqueue_server.storage import Storage, open_storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.web.proctoring import console_session
from xqueue_server.web.proctoring.paths import CONSOLE

BROWSER = Path("/usr/bin/chromium")
SECRET_KEY = "5ecret" * 6
HOUR_MS = 3_600_000
OF_AN_HOUR = re.compile(r"^\s*5\d:\d\d\s*$")
OF_NINETY_MINUTES = re.compile(r"\b1:2\d:\d\d\b")
"""Are left; a slow machine may have taken a minute or two."""
POLL_MS = 6_000
"""A learner's page asks once in it; once in three of it when the exam is over."""
STEPPED = """
(() => {
  const real = Date.now.bind(Date), Real = Date;
  window.stepMs = %d;
  window.Date = class extends Real {
    constructor(...given) { given.length ? super(...given) : super(real() + window.stepMs); }
    static now() { return real() + window.stepMs; }
  };
})();
"""
"""A computer whose clock is wrong by so much, and can be set while a page is open."""


FAKE_STREAM = """
window.streams = [];
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  readyState = 0;
  constructor() {
    super();
    window.streams.push(this);
    document.documentElement.dataset.streams = window.streams.length;
  }
  close() { this.readyState = 2; }
  tell(kind) { this.dispatchEvent(Object.assign(new Event(kind), { lastEventId: "1-1" })); }
};
window.looks = 0;
const real = window.fetch;
window.fetch = (address, options) => {
  if (options?.headers?.["X-Live"]) window.looks += 1;
  return real(address, options);
};
"""
"""A stream that says what a test has it say, and how often the page has looked at itself."""


LOOK = "document.dispatchEvent(new CustomEvent('live-follow', { detail: { isNow: true } }))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    url: str
    storage: Storage
    store: ProctoringStore
    exam: Exam

    def link(self, attempt_id: int) -> str:
        return link_of(self.store, SECRET_KEY.encode(), attempt_id)


@contextmanager
def running(folder: Path, template: Path) -> Iterator[Site]:
    """`serve` and `events` behind one address, on SQLite."""
    database = folder / "xqueue.db"
    shutil.copyfile(template, database)
    storage = open_storage(f"sqlite:///{database}")
    store = ProctoringStore(storage, SECRET_KEY.encode())
    with store.write() as session:
        session.lmses.add(LMS)
        terms = Terms(rules={"book": "No books.", "phone": "Put your phone away."})
        exam = session.exams.add(replace(EXAM, exam_name="Final exam", terms=terms))
    serve, events, port = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "XQUEUE_DATABASE_URL": f"sqlite:///{database}",
        "XQUEUE_DATA_DIR": str(folder / "data"),
        "XQUEUE_SECRET_KEY": SECRET_KEY,
        "XQUEUE_PUBLIC_URL": url,
        "XQUEUE_LMS_ORIGINS": "https://lms.example",
    }
    processes: list[LongRunning] = []
    try:
        for name, at, more in (("serve", serve, ("--workers", "1")), ("events", events, ())):
            argv = command("xqueue-server", name, "--bind", f"127.0.0.1:{at}", *more)
            started = LongRunning(name, argv, settings=settings, log_path=folder / f"{name}.log")
            processes.append(started)
            started.wait_until(lambda at=at: answers_http(f"http://127.0.0.1:{at}/readyz"), START_S)
        with one_address(port, serve=serve, events=events):
            yield Site(url=url, storage=storage, store=store, exam=exam)
    finally:
        stop_all(processes)
        storage.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not BROWSER.exists():
        missing_service("chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("console-site"), migrated_sqlite) as opened:
        yield opened


@pytest.fixture
def tab(browser: Browser, site: Site) -> Iterator[Tab]:
    opened = open_tab(browser, site.url)
    yield opened
    opened.page.context.close()
    assert opened.complaints == []


def enter(site: Site, tab: Tab) -> None:
    """As the LMS's link does it."""
    secret = console_session.begin_for_instructor(
        site.storage, lms="edx", course_id=COURSE, obscured_id="0b5c", email="ida@example.org"
    )
    tab.page.context.add_cookies(
        [{"name": console_session.COOKIE, "value": secret, "url": f"{site.url}{CONSOLE}"}]
    )


def is_listening(tab: Tab) -> None:
    tab.page.locator("html[data-stream=open]").wait_for(state="attached")


# -- proctors ------------------------------------------------------------------------------------


def test_a_proctor_sees_it_live_extends_ends_and_judges(site: Site, tab: Tab) -> None:
    page = tab.page
    enter(site, tab)
    tab.go(f"{CONSOLE}/")
    page.get_by_role("link", name="Final exam").click()
    page.get_by_role("heading", name="Final exam").wait_for()
    is_listening(tab)
    # By itself the page would ask only once a minute: what follows came by the stream.
    attempt = begun(site.store, site.exam, user_id="100")
    row = page.get_by_role("row").filter(has_text="learner 100")
    expect(row).to_contain_text("started")
    expect(row.locator("[data-until]")).to_contain_text(":")

    row.get_by_role("link").click()
    page.get_by_role("heading", name="learner 100").wait_for()
    is_listening(tab)
    page.get_by_text("Give more time").click()
    page.get_by_label("Minutes").fill("30")
    page.locator("#reason-extend").fill("fire alarm")
    page.get_by_role("button", name="Change the time").click()
    expect(page.get_by_role("status")).to_contain_text("30 min more")
    expect(page.locator("[data-live=now] .left")).to_contain_text(OF_NINETY_MINUTES)

    is_listening(tab)
    act(site.store, attempt.id, Action.STOP, actor=Actor.LEARNER)
    expect(page.locator("[data-live=now] .state").first).to_have_text("ready to submit")

    page.get_by_text("End the exam").click()
    page.locator("#reason-terminate").fill("somebody else was writing")
    page.get_by_label("I am sure").first.check()
    page.get_by_role("button", name="End it now").click()
    expect(page.get_by_role("status")).to_contain_text("A person must judge")
    page.get_by_text("Review: fail").click()
    page.locator("#reason-fail").fill("it was his brother")
    page.locator("form[action$=fail]").get_by_label("I am sure").check()
    page.get_by_role("button", name="Fail", exact=True).click()
    expect(page.locator("[data-live=now] .state").first).to_have_text("rejected")
    expect(page.locator("[data-live=story]")).to_contain_text("it was his brother")
    assert look(site.store, attempt.id).status is Status.REJECTED


def test_a_proctor_lets_one_go_on_and_passes_another(site: Site, tab: Tab) -> None:
    page = tab.page
    broken = act(
        site.store,
        begun(site.store, site.exam, user_id="110").id,
        Action.ERROR,
        actor=Actor.LEARNER,
    )
    ended = submitted(site.store, site.exam, user_id="111")
    enter(site, tab)
    state = page.locator("[data-live=now] .state")
    tab.go(f"{CONSOLE}/attempts/{broken.id}")
    expect(state.first).to_have_text("error")
    page.get_by_text("Let the learner go on").click()
    page.locator("#reason-resume").fill("his computer died")
    page.get_by_role("button", name="Let go on").click()
    expect(state.filter(has_text="may go on")).to_be_visible()
    expect(page.locator("[data-live=story]")).to_contain_text("his computer died")
    assert look(site.store, broken.id).ready_to_resume

    tab.go(f"{CONSOLE}/attempts/{ended.id}")
    page.get_by_text("Review: pass").click()
    page.locator("#reason-pass").fill("all was well")
    page.get_by_role("button", name="Pass", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("passed")
    expect(state.first).to_have_text("verified")
    assert look(site.store, ended.id).status is Status.VERIFIED


def with_fake_stream(site: Site, tab: Tab) -> None:
    """On the page of the exam, that listens; its time passes only when a test says so."""
    page = tab.page
    page.clock.install(time=0)
    page.add_init_script(FAKE_STREAM)
    enter(site, tab)
    page.goto(f"{site.url}{CONSOLE}/exams/{site.exam.id}")
    expect(page.locator("html")).to_have_attribute("data-streams", "1")
    page.clock.pause_at(1_000_000)
    page.evaluate("streams.at(-1).tell('open')")
    page.clock.run_for(1_000)


def test_without_a_stream_the_page_follows_by_asking_and_says_so(site: Site, tab: Tab) -> None:
    page = tab.page
    with_fake_stream(site, tab)
    note = page.locator("[data-live-text]")
    expect(note).to_have_text("live")
    begun(site.store, site.exam, user_id="101")
    page.evaluate("streams.at(-1).tell('error')")
    expect(note).to_have_text("asks every few seconds")
    expect(page.get_by_role("row").filter(has_text="learner 101")).to_contain_text("started")

    # A stream that is tried again and again is no reason not to ask.
    act(
        site.store, begun(site.store, site.exam, user_id="103").id, Action.STOP, actor=Actor.LEARNER
    )
    row = page.get_by_role("row").filter(has_text="learner 103").filter(has_text="ready to submit")

    def is_shown() -> bool:
        page.evaluate("streams.at(-1).tell('error')")
        page.clock.run_for(2_000)
        return row.count() > 0

    # The page counts its seconds from the last answer, which may come after the first of these.
    eventually(is_shown, 60)


def test_news_without_a_pause_are_shown_all_the_same(site: Site, tab: Tab) -> None:
    page = tab.page
    with_fake_stream(site, tab)
    before = page.evaluate("window.looks")
    for _ in range(6):
        page.evaluate("streams.at(-1).tell('news')")
        page.clock.run_for(100)
    eventually(lambda: page.evaluate("window.looks") > before, 60)


def test_two_proctors_at_one_attempt_lose_nothing(site: Site, tab: Tab, browser: Browser) -> None:
    attempt = begun(site.store, site.exam, user_id="104")
    other = open_tab(browser, site.url)
    for each in (tab, other):
        enter(site, each)
        each.go(f"{CONSOLE}/attempts/{attempt.id}")
        is_listening(each)
    page = tab.page
    page.get_by_text("Warn", exact=True).click()
    page.get_by_label("What was seen").fill("talks to somebody")
    page.get_by_role("heading", name="Timeline").click()  # looks elsewhere, and writes no more
    other.page.get_by_text("Give more time").click()
    other.page.locator("#reason-extend").fill("fire alarm")
    other.page.get_by_role("button", name="Change the time").click()
    expect(other.page.get_by_role("status")).to_contain_text("min more")
    other.page.context.close()
    assert other.complaints == []

    expect(page.locator("[data-live=story]")).to_contain_text("fire alarm")
    expect(page.get_by_text("changed since you began to write")).to_be_visible()
    page.get_by_role("button", name="Warn the learner").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing was done")
    tab.complaints.clear()  # the browser tells of the 409
    is_listening(tab)
    act(site.store, attempt.id, Action.STOP, actor=Actor.LEARNER)  # the page looks at itself again
    expect(page.locator("[data-live=now] .state").first).to_have_text("ready to submit")
    expect(page.get_by_label("What was seen")).to_have_value("talks to somebody")
    expect(page.get_by_text("changed since you began to write")).to_be_visible()
    page.reload()
    page.get_by_text("Warn", exact=True).click()
    page.get_by_label("What was seen").fill("talks to somebody")

    page.context.clear_cookies()
    page.evaluate(LOOK)
    expect(page.locator("[data-live-note]")).to_contain_text("What you have typed stays here.")
    page.get_by_role("button", name="Warn the learner").click()
    expect(page.get_by_label("What you wrote")).to_have_value("talks to somebody")
    tab.complaints.clear()  # the browser tells of the 401


def test_somebody_with_an_account_comes_from_the_admin_pages(site: Site, tab: Tab) -> None:
    add_account(site.storage, "paul", Role.OPERATOR)
    page = tab.page
    tab.go("/admin/proctoring")
    page.get_by_label("Account").fill("paul")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Exams").wait_for()
    page.get_by_role("button", name="Leave").click()
    page.get_by_text("You have left the console").wait_for()


def test_the_console_fits_on_a_phone(site: Site, browser: Browser) -> None:
    attempt = begun(site.store, site.exam, user_id="102")
    tab = open_tab(browser, site.url, viewport={"width": 360, "height": 740})
    enter(site, tab)
    for path in ("/", f"/exams/{site.exam.id}", f"/attempts/{attempt.id}"):
        tab.go(CONSOLE + path)
        wide = tab.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, path
    tab.page.context.close()
    assert tab.complaints == []


# -- learners ------------------------------------------------------------------------------------


def test_a_learner_gets_ready_starts_and_is_told_what_becomes_of_it(site: Site, tab: Tab) -> None:
    attempt = sitting(site.store, site.exam, user_id="200")
    page = tab.page
    page.clock.install()
    tab.go(site.link(attempt.id))
    expect(page.locator("[data-title]")).to_have_text("You may start")
    eventually(lambda: look(site.store, attempt.id).status is Status.READY_TO_START, 60)
    expect(page.get_by_text("Put your phone away.")).to_be_visible()
    act(site.store, attempt.id, Action.START, actor=Actor.LEARNER)
    page.clock.run_for(POLL_MS)
    expect(page.get_by_role("timer")).to_contain_text(":")
    act(site.store, attempt.id, Action.SUBMIT, actor=Actor.LEARNER)
    page.clock.run_for(POLL_MS)
    expect(page.locator("[data-title]")).to_have_text("Your exam is submitted")
    expect(page.get_by_role("timer")).to_be_hidden()
    act(site.store, attempt.id, Action.RESET, actor=Actor.STAFF)
    page.clock.run_for(3 * POLL_MS)
    expect(page.locator("[data-title]")).to_have_text("This page is out of date")
    tab.complaints.clear()  # the browser tells of the 404


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS])
def test_a_wrong_clock_changes_nothing_nor_does_setting_it(
    site: Site, browser: Browser, step_ms: int
) -> None:
    attempt = begun(site.store, site.exam, user_id=f"300{step_ms}")
    tab = open_tab(browser, site.url)
    tab.page.add_init_script(STEPPED % step_ms)
    tab.go(site.link(attempt.id))
    timer = tab.page.get_by_role("timer")
    expect(timer).to_have_text(OF_AN_HOUR)
    # As after a sleep, in which what the page counts by may have stood: it asks for the time anew.
    with tab.page.expect_request("**/time"):
        tab.page.evaluate("window.stepMs = -window.stepMs")
    shown = timer.text_content() or ""
    expect(timer).not_to_have_text(shown)  # it has counted on
    expect(timer).to_have_text(OF_AN_HOUR)
    tab.page.context.close()
    assert tab.complaints == []


def test_the_learner_s_page_fits_on_a_phone(site: Site, browser: Browser) -> None:
    attempt = begun(site.store, site.exam, user_id="400")
    tab = open_tab(browser, site.url, viewport={"width": 360, "height": 740})
    tab.go(site.link(attempt.id))
    expect(tab.page.get_by_role("timer")).to_contain_text(":")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
    tab.page.context.close()
    assert tab.complaints == []

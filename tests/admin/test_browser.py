"""The admin pages in a real browser: what people do there, and what may not run there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from deploy.demo.lms import Outage, StandInLms
from tests.admin.browser import (
    COURSE,
    FLAGS,
    PATIENCE_MS,
    QUEUE,
    Installation,
    Tab,
    installation,
    open_tab,
)
from tests.support.postgres import missing_service
from tests.worker.fakes import eventually
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import callbacks, events, submissions

BROWSER = Path("/usr/bin/chromium")
PAGES = (
    "/admin/",
    "/admin/submissions",
    "/admin/submissions/1",
    "/admin/callbacks",
    "/admin/callbacks?state=delivered",
    "/admin/faults",
    "/admin/faults/1",
    "/admin/regrades",
    "/admin/queues",
    f"/admin/queues/{QUEUE}",
    "/admin/workers",
    "/admin/deadlines",
    "/admin/accounts",
    "/admin/accounts/grader",
    "/admin/tokens",
    "/admin/events",
    "/admin/bulk/regrade",
)
HOSTILE = (
    "<p>Fine</p><script>top.document.title='OWNED';document.title='OWNED'</script>"
    "<img src=x onerror=\"parent.document.title='OWNED'\">"
    "<svg onload=\"top.location='/admin/sign-out'\"></svg>"
    "<iframe srcdoc=\"<script>top.document.title='OWNED'</script>\"></iframe>"
    "<form action=/admin/sign-out method=post><button autofocus>x</button></form>"
    "<a href=\"javascript:top.document.title='OWNED'\" id=bad>link</a>"
    "<meta http-equiv=refresh content='0;url=/admin/sign-in?out=1'>"
    "<base href=https://evil.example.org/><link rel=stylesheet href=https://evil.example.org/x>"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not BROWSER.exists():
        missing_service("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=BROWSER, args=FLAGS, timeout=PATIENCE_MS
        )
        yield running
        running.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("admin-site")
    with StandInLms() as lms, installation(folder, migrated_sqlite, lms) as running:
        yield running


@pytest.fixture
def tab(browser: Browser, site: Installation) -> Iterator[Tab]:
    opened = open_tab(browser, site.url)
    yield opened
    opened.page.context.close()
    assert opened.complaints == []


def state_of_callback(site: Installation, submission_id: int) -> CallbackState | None:
    with site.storage.read() as tx:
        found = callbacks.of_submission(tx, submission_id)
    return found[-1].state if found else None


def has_been_tried(site: Installation, submission_id: int) -> bool:
    with site.storage.read() as tx:
        found = callbacks.of_submission(tx, submission_id)
        return any(callbacks.attempts_of(tx, callback.id) for callback in found)


def test_a_failed_submission_is_found_replayed_and_delivered(site: Installation, tab: Tab) -> None:
    """The LMS answers 400, which no retry mends; then it is mended, and a person sends it again."""
    site.lms.answer_with(Outage(status=400))
    site.submit("report", learner=42)
    leased = site.lease()
    site.grade(leased)
    eventually(lambda: has_been_tried(site, leased.submission_id), 60)
    site.let_a_quarter_pass(leased.submission_id)
    eventually(lambda: state_of_callback(site, leased.submission_id) is CallbackState.DEAD, 60)
    site.lms.come_back()
    page = tab.page

    tab.sign_in()
    page.get_by_role("link", name="Submissions").click()
    page.get_by_label("Learner’s id").fill("42")
    page.get_by_text("More filters").click()
    page.get_by_label("Message to the LMS").select_option("dead")
    page.wait_for_url("**callback=dead**")
    assert "learner=42" in page.url
    row = page.get_by_role("row").filter(has_text="report")
    expect(row).to_contain_text("The LMS did not take the message: its last answer was 400.")
    row.get_by_role("link", name=str(leased.submission_id), exact=True).click()
    page.get_by_role("button", name="Send again to the LMS").click()
    expect(page.get_by_role("status")).to_contain_text("is sent again at once")

    # Nobody reloads: the page follows what the deliverer does, and what is unfolded stays so.
    expect(page.get_by_text("the LMS took the grade at")).to_be_visible()
    expect(page.locator("[data-live=messages]")).to_contain_text("delivered")
    page.go_back()
    page.go_back()
    assert "callback=dead" in page.url
    expect(page.get_by_label("Learner’s id")).to_have_value("42")


def test_many_are_graded_anew_after_a_confirmation(site: Installation, tab: Tab) -> None:
    for learner in (51, 52):
        site.submit("rounding", learner)
        site.grade(site.lease())
    page = tab.page
    tab.sign_in()
    block = f"block-v1:{COURSE.removeprefix('course-v1:')}+type@problem+block@rounding"

    tab.go("/admin/submissions")
    page.get_by_label("Problem, or its address").fill(
        f"{site.lms.origin}/courses/{COURSE}/jump_to/{block}"
    )
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="2 submissions match")).to_be_visible()
    page.get_by_role("link", name="Grade anew all…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Grade anew 2 submissions?")
    page.get_by_label("Reason, for the record").fill("rounding was wrong")
    page.get_by_role("button", name="Grade anew 2 submissions").click()

    expect(page.get_by_role("status")).to_contain_text("2 submissions queued to be graded anew")
    page.get_by_role("link", name="List them").click()
    expect(page.get_by_role("heading", name="2 submissions match")).to_be_visible()
    for _ in range(2):
        site.grade(site.lease())


def test_everything_can_be_done_with_the_keyboard_alone(site: Installation, tab: Tab) -> None:
    site.submit("sorting", learner=61)
    leased = site.lease()
    site.break_grader(leased)
    page = tab.page
    tab.go("/admin/sign-in")
    expect(page.get_by_label("Account")).to_be_focused()  # a little after the page has loaded
    page.keyboard.type("olga")
    page.keyboard.press("Tab")
    page.keyboard.type("a password that is in no log")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()
    page.wait_for_load_state()  # the page's script has run: it must not take the focus elsewhere

    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    tab.go(f"/admin/submissions/{leased.submission_id}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab_to(page, "Release")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("is queued again")
    with site.storage.read() as tx:
        found = submissions.find(tx, leased.submission_id)
    assert found is not None
    assert found.state == "queued"
    site.grade(site.lease())


def tab_to(page: Page, text: str) -> None:
    """Press Tab until a button of this text is in focus, and see that the focus is visible."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent.trim()")
        if focused == text:
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width == "3px"
            return
    raise AssertionError(f"no way to {text!r} with the Tab key")


def test_a_hostile_reply_runs_nothing(site: Installation, tab: Tab) -> None:
    site.submit("hostile", learner=71)
    leased = site.lease()
    site.grade(leased, HOSTILE)
    page = tab.page
    tab.sign_in()

    tab.go(f"/admin/submissions/{leased.submission_id}")
    reply = page.frame_locator("iframe.reply")
    expect(reply.get_by_text("Fine")).to_be_visible()
    reply.locator("#bad").click()

    expect(page).to_have_title(f"Submission {leased.submission_id} · XQueue")
    assert page.url.endswith(f"/admin/submissions/{leased.submission_id}")
    assert [frame.url for frame in page.frames if "evil" in frame.url] == []
    tab.go("/admin/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    # The browser says of each thing that it has stopped it, and of nothing else.
    blocked = re.compile(r"Blocked script execution|Content Security Policy|sandbox", re.IGNORECASE)
    assert tab.complaints
    assert [told for told in tab.complaints if not blocked.search(told)] == []
    tab.complaints.clear()


def test_a_hostile_reply_opened_alone_runs_nothing_either(site: Installation, tab: Tab) -> None:
    """Its own policy holds where no iframe does."""
    site.submit("hostile", learner=72)
    leased = site.lease()
    site.grade(leased, HOSTILE)
    tab.sign_in()

    tab.go(f"/admin/submissions/{leased.submission_id}")
    source = tab.page.locator("iframe.reply").get_attribute("src")
    tab.complaints.clear()
    tab.go(source or "")

    expect(tab.page.get_by_text("Fine")).to_be_visible()
    expect(tab.page).to_have_title("Reply")
    tab.go("/admin/")  # what its frames have to say comes by ways of their own, but not after this
    tab.complaints.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_complains_or_scrolls_sideways(
    browser: Browser, site: Installation, width: int, scheme: str
) -> None:
    site.submit("wide", learner=81)
    site.break_grader(site.lease())
    viewport = {"width": width, "height": 740}
    tab = open_tab(browser, site.url, viewport=viewport, color_scheme=scheme)
    tab.sign_in()

    for path in PAGES:
        tab.go(path)
        measured = tab.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert measured[0] <= measured[1], f"{path} scrolls sideways at {width}: {measured}"
    background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.page.context.close()
    assert tab.complaints == []
    assert background == {"light": "rgb(246, 247, 249)", "dark": "rgb(18, 22, 28)"}[scheme]


def test_the_page_asks_again_only_while_it_is_seen_and_not_paused(
    site: Installation, tab: Tab
) -> None:
    tab.sign_in()
    page, asked = tab.page, []
    page.on("request", lambda request: asked.append(request.headers.get("x-live")))
    page.clock.install()
    tab.go("/admin/")
    asked.clear()

    with page.expect_response(lambda answer: answer.request.headers.get("x-live") == "1"):
        page.clock.run_for(5_000)
    page.get_by_role("button", name="Pause").click()
    asked.clear()
    page.clock.run_for(60_000)
    assert asked == []
    with page.expect_response(lambda answer: answer.request.headers.get("x-live") == "1"):
        page.get_by_role("button", name="Resume").click()

    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked.clear()
    page.clock.run_for(60_000)
    assert asked == []
    with page.expect_response(lambda answer: answer.status in (200, 304)):
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )


def test_moments_are_shown_and_asked_for_in_the_readers_own_time(
    browser: Browser, site: Installation
) -> None:
    """Dhaka is 6 h ahead of UTC all the year."""
    site.submit("timed", learner=95)
    tab = open_tab(browser, site.url, timezone_id="Asia/Dhaka")
    tab.sign_in()
    page = tab.page
    tab.go("/admin/submissions?learner=95&since=2026-03-01T10:00")

    arrived = page.locator("td time").first
    at = datetime.fromisoformat(arrived.get_attribute("datetime") or "")
    local = at.astimezone(timezone(timedelta(hours=6)))
    expect(arrived).to_have_text(f"{local:%Y-%m-%d %H:%M:%S}")
    expect(arrived).to_have_attribute("title", f"{at:%Y-%m-%d %H:%M:%S} UTC")
    expect(page.get_by_role("columnheader", name="Arrived (Dhaka)")).to_be_visible()
    since = page.get_by_label("Arrived from (Dhaka)")
    expect(since).to_have_value("2026-03-01T16:00")
    since.fill("2026-03-02T00:15")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**since=2026-03-01T18%3A15%3A00Z")
    expect(since).to_have_value("2026-03-02T00:15")
    page.context.close()
    assert tab.complaints == []


def test_a_page_left_open_says_that_it_is_no_longer_true(site: Installation, tab: Tab) -> None:
    tab.sign_in()
    page = tab.page
    page.clock.install()
    tab.go("/admin/")
    note = page.locator("[data-live-note]")
    page.route("**/admin/", lambda route: route.fulfill(status=503))
    page.clock.run_for(5_000)
    expect(note).to_contain_text("The database can not be reached. Shown is how it was at")
    page.unroute("**/admin/")
    page.clock.run_for(5_000)
    expect(note.locator("[data-live-text]")).to_have_text("live")

    page.context.clear_cookies()
    page.clock.run_for(5_000)
    expect(note).to_contain_text("You are signed out.")
    note.get_by_role("link", name="Sign in again").click()
    page.wait_for_url("**/admin/sign-in?next=**")
    tab.complaints.clear()  # the browser tells of the 503


def test_a_table_is_read_on_a_phone_without_scrolling_it(
    browser: Browser, site: Installation
) -> None:
    site.submit("narrow", learner=96)
    tab = open_tab(browser, site.url, viewport={"width": 390, "height": 844})
    tab.sign_in()
    tab.go("/admin/submissions?learner=96")

    cell = tab.page.locator("td", has=tab.page.get_by_role("link", name="96", exact=True))
    expect(cell).to_be_in_viewport()
    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == '"Learner"'
    box = tab.page.locator(".scroll").first
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    tab.page.context.close()
    assert tab.complaints == []


def test_the_menu_shows_on_a_phone_where_one_is(browser: Browser, site: Installation) -> None:
    tab = open_tab(browser, site.url, viewport={"width": 390, "height": 844})
    tab.sign_in()
    tab.go("/admin/events")

    here = tab.page.locator(".nav [aria-current]")
    expect(here).to_have_text("Audit log")
    expect(here).to_be_in_viewport(ratio=1)
    tab.page.keyboard.press("Tab")
    expect(tab.page.locator(".skip")).to_be_focused()
    tab.page.context.close()
    assert tab.complaints == []


def test_forms_and_links_work_without_script(browser: Browser, site: Installation) -> None:
    tab = open_tab(browser, site.url, java_script_enabled=False)
    tab.sign_in()
    page = tab.page

    page.get_by_role("link", name="Queues").click()
    page.get_by_role("link", name=QUEUE, exact=True).click()
    page.get_by_label("Reason, shown to everybody").fill("a test")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("is paused")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("hands out again")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to XQueue")).to_be_visible()
    page.context.close()


def test_what_is_unfolded_stays_so_while_the_page_follows(site: Installation, tab: Tab) -> None:
    site.submit("folded", learner=91)
    leased = site.lease()
    site.break_grader(leased)
    tab.sign_in()
    page = tab.page
    page.clock.install()
    tab.go(f"/admin/submissions/{leased.submission_id}")
    page.get_by_text("What the grader or worker said").click()
    page.locator("h1").click()  # somebody who is in a part keeps it as it is
    page.evaluate("document.activeElement.blur()")
    said = page.get_by_text("No module named numpy").first
    expect(said).to_be_visible()
    with page.expect_response(lambda answer: answer.request.headers.get("x-live") == "1"):
        page.clock.run_for(5_000)

    with site.storage.write() as tx:
        events.append(
            tx,
            subject=f"submission {leased.submission_id}",
            submission_id=leased.submission_id,
            actor="account somebody",
            why="code seen",
        )
    with page.expect_response(lambda answer: answer.request.headers.get("x-live") == "1"):
        page.clock.run_for(5_000)

    expect(page.locator("[data-live=story]")).to_contain_text("account somebody")
    expect(said).to_be_visible()

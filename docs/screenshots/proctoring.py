"""Pictures of the console and the learner's page, for docs/how-to/proctor.md.

    python -m docs.screenshots.proctoring [--out FOLDER]

Needs `chromium` and the development dependencies. Starts a server of its own with sample data on a
loopback port, and removes all of it.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from deploy.demo.processes import LongRunning, answers_http, command, free_port
from docs.screenshots.admin import BROWSER, FLAGS
from docs.screenshots.admin_sample import COURSE, ORIGIN
from docs.screenshots.proctoring_sample import Sample
from xqueue_server.instant import ManualClock
from xqueue_server.storage import migration, open_storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.web.proctoring import console_session
from xqueue_server.web.proctoring.paths import CONSOLE

IMAGES = Path(__file__).parents[1] / "images" / "proctoring"
MAX_BYTES = 300_000
AGO = timedelta(minutes=50)
START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    name: str
    path: str
    """Below the console; or "learner"."""
    width: int = 1280
    height: int = 860
    opens: str = ""
    """What is unfolded first, by its words."""
    scheme: str = "light"
    counts_down: bool = True


PICTURES = (
    Picture(name="exams", path="/", height=420, counts_down=False),
    Picture(name="exam", path="/exams/1", height=1130),
    Picture(name="attempt", path="/attempts/2", height=1180, opens="Warn"),
    Picture(
        name="review", path="/attempts/5", height=1100, opens="Review: fail", counts_down=False
    ),
    Picture(name="of-the-lms", path="/attempts/6", height=560),
    Picture(name="attempt-phone", path="/attempts/2", width=360, height=780, scheme="dark"),
    Picture(name="learner", path="learner", width=760, height=880),
    Picture(name="learner-phone", path="learner", width=360, height=780),
)


def main() -> None:
    options = argparse.ArgumentParser(description="Pictures of the pages of proctored exams.")
    options.add_argument("--out", type=Path, default=IMAGES, help="folder for the pictures")
    out: Path = options.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, size in take_all(Path(folder), out).items():
            sys.stdout.write(f"{name}.png {size} bytes\n")
            if size > MAX_BYTES:
                sys.exit(f"{name}.png is too large for a repository")


def take_all(folder: Path, out: Path) -> dict[str, int]:
    key = secrets.token_hex(32)
    database = f"sqlite:///{folder}/xqueue.db"
    clock = ManualClock(datetime.now(UTC) - AGO)
    storage = open_storage(database, clock=clock)
    url = f"http://127.0.0.1:{free_port()}"
    settings = {
        "XQUEUE_DATABASE_URL": database,
        "XQUEUE_DATA_DIR": f"{folder}/data",
        "XQUEUE_SECRET_KEY": key,
        "XQUEUE_PUBLIC_URL": url,
        "XQUEUE_LMS_ORIGINS": ORIGIN,
    }
    try:
        migration.upgrade(storage)
        sample = Sample(storage=storage, store=ProctoringStore(storage, key.encode()), clock=clock)
        sample.make()
        session = console_session.begin_for_instructor(
            storage, lms="edx", course_id=COURSE, obscured_id="0b5c", email="ida@example.edu"
        )
        link = sample.link(key.encode())
    finally:
        storage.close()
    argv = command("xqueue-server", "serve", "--bind", url.removeprefix("http://"), "--workers=1")
    serve = LongRunning("serve", argv, settings=settings, log_path=folder / "serve.log")
    try:
        serve.wait_until(lambda: answers_http(f"{url}/readyz"), START_S)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
            return {
                picture.name: take(browser, picture, url, link, session, out)
                for picture in PICTURES
            }
    finally:
        serve.stop()


def take(browser: Browser, picture: Picture, url: str, link: str, session: str, out: Path) -> int:
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.scheme == "dark" else "light",
    )
    context.add_cookies(
        [{"name": console_session.COOKIE, "value": session, "url": f"{url}{CONSOLE}"}]
    )
    page = context.new_page()
    is_learner = picture.path == "learner"
    page.goto(url + (link if is_learner else CONSOLE + picture.path))
    counts = "[role=timer]" if is_learner else "[data-until]"
    if picture.counts_down:
        page.locator(counts).first.filter(has_text=":").wait_for()
    if picture.opens:
        page.get_by_text(picture.opens, exact=True).click()
    target = out / f"{picture.name}.png"
    page.screenshot(path=target)
    context.close()
    return target.stat().st_size


if __name__ == "__main__":
    main()

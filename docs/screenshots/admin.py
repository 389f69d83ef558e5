"""Pictures of the admin pages, for docs/how-to/admin.md.

    python -m docs.screenshots.admin [--all] [--out FOLDER]

Needs `chromium` and the development dependencies. Starts a server of its own with sample data on a
loopback port, and removes all of it.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from deploy.demo.processes import LongRunning, answers_http, command, free_port
from docs.screenshots.admin_sample import ADMIN, COURSE, PASSWORD, Sample
from xqueue_server.instant import ManualClock
from xqueue_server.storage import migration, open_storage
from xqueue_server.storage.proctoring import ProctoringStore

IMAGES = Path(__file__).parents[1] / "images" / "admin"
BROWSER = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
MAX_BYTES = 300_000
AGO = timedelta(hours=1, minutes=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    name: str
    path: str
    width: int = 1280
    height: int = 860
    scheme: str = "light"


PICTURES = (  # hosts are alive only for 45 s: first what shows them
    Picture(name="workers", path="/admin/workers", height=900),
    Picture(name="workers-dark", path="/admin/workers", height=640, scheme="dark"),
    Picture(name="overview", path="/admin/?span=6h", height=1010),
    Picture(name="overview-phone", path="/admin/?span=6h", width=360, height=780),
    Picture(name="submissions", path=f"/admin/submissions?course={quote(COURSE)}"),
    Picture(name="submission", path="/admin/submissions/2", height=1100),
    Picture(name="bulk", path="/admin/bulk/regrade?queue=cs101", height=660),
)
"""What the page shows; `--all` adds the rest, to look at."""
OTHERS = (
    Picture(name="overview-dark", path="/admin/?span=24h", height=1010, scheme="dark"),
    Picture(name="submissions-phone", path="/admin/submissions?state=held", width=360, height=780),
    Picture(name="held", path="/admin/submissions/15", height=900),
    Picture(name="dead-letters", path="/admin/callbacks", height=420),
    Picture(name="fault", path="/admin/faults/1", height=900),
    Picture(name="queue", path="/admin/queues/cs101", height=1100),
    Picture(name="deadlines", path="/admin/deadlines", height=560),
    Picture(name="account", path="/admin/accounts/piotr", height=900),
    Picture(name="audit", path="/admin/events", height=800),
    Picture(name="sign-in", path="/admin/sign-in", width=720, height=480),
)


def main() -> None:
    options = argparse.ArgumentParser(description="Pictures of the admin pages.")
    options.add_argument("--out", type=Path, default=IMAGES, metavar="FOLDER")
    options.add_argument("--all", action="store_true", help="also of pages that no document shows")
    chosen = options.parse_args()
    target: Path = chosen.out
    target.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(Path(folder)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        for picture in (*PICTURES, *OTHERS) if chosen.all else PICTURES:
            size = _take(browser, url, picture, target / f"{picture.name}.png")
            sys.stdout.write(f"{picture.name}.png {size} bytes\n")
        browser.close()


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    key = secrets.token_hex(32)
    database = f"sqlite:///{folder}/xqueue.db"
    clock = ManualClock(datetime.now(UTC) - AGO)
    storage = open_storage(database, clock=clock)
    migration.upgrade(storage)
    Sample(storage, ProctoringStore(storage, key.encode()), clock).make()
    storage.close()
    url = f"http://127.0.0.1:{free_port()}"
    settings = {
        "XQUEUE_DATABASE_URL": database,
        "XQUEUE_DATA_DIR": str(folder / "data"),
        "XQUEUE_SECRET_KEY": key,
        "XQUEUE_PUBLIC_URL": url,
    }
    bind = ("--bind", url.removeprefix("http://"), "--workers", "1")
    argv = command("xqueue-server", "serve", *bind)
    serve = LongRunning("serve", argv, settings=settings, log_path=folder / "serve.log")
    try:
        serve.wait_until(lambda: answers_http(f"{url}/readyz"), 60)
        yield url
    finally:
        serve.stop()


def _take(browser: Browser, url: str, picture: Picture, target: Path) -> int:
    """The size in bytes; RuntimeError when it is too large for a repository."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.scheme == "dark" else "light",
        device_scale_factor=1,
        timezone_id="Europe/Berlin",
    )
    page = context.new_page()
    if not picture.path.endswith("sign-in"):
        _sign_in(page, url)
    page.goto(url + picture.path, wait_until="networkidle")
    page.screenshot(path=target, animations="disabled")
    context.close()
    size = target.stat().st_size
    if size > MAX_BYTES:
        raise RuntimeError(f"{target.name} has {size} bytes")
    return size


def _sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/admin/sign-in")
    page.fill("#name", ADMIN)
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_selector("h1")


if __name__ == "__main__":
    main()

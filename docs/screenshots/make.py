"""Pictures of replies as learners see them, for docs/graders/what-learners-see.md.

    python -m docs.screenshots.make [--check]

Needs `chromium` on PATH. The page is an approximation of the LMS's: its own frame,
and for a message what the LMS's problem style sheet says of the class names, in our words. The
LMS folds the details away until the learner asks for them; here they are open. `--check` writes
nothing and fails when a reply has no picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.screenshots.replies import REPLIES
from graders.reply import build_reply
from sandbox.run import RunResult

IMAGES = Path(__file__).parents[1] / "graders" / "images"
WIDTH = 760
TALLEST = 4000
MAX_BYTES = 60_000
FRAME = Path(__file__).with_name("lms_page.html")
MEASURE = "<script>document.title = document.body.getBoundingClientRect().height</script>"


def main() -> None:
    options = argparse.ArgumentParser(description="Pictures of replies, for the documentation.")
    options.add_argument("--check", action="store_true", help="only look for missing pictures")
    if options.parse_args().check:
        missing = [name for name in REPLIES if not (IMAGES / f"{name}.png").is_file()]
        sys.exit(f"no picture of: {', '.join(missing)}" if missing else 0)
    for name, result in REPLIES.items():
        size = make_picture(result, IMAGES / f"{name}.png")
        sys.stdout.write(f"{name}.png {size} bytes\n")


def make_picture(result: RunResult, target: Path) -> int:
    """The size in bytes; RuntimeError when it is too large for a repository."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(lms_page(result), encoding="utf-8")
        browse(page, f"--screenshot={target}", f"--window-size={WIDTH},{height_of(page)}")
    size = target.stat().st_size
    if size > MAX_BYTES:
        raise RuntimeError(f"{target.name} has {size} bytes")
    return size


def lms_page(result: RunResult) -> str:
    reply = json.loads(build_reply(result))
    status = "correct" if reply["correct"] else "incorrect"
    frame = FRAME.read_text(encoding="utf-8")
    return frame.replace("{status}", status).replace("{msg}", reply["msg"])


def height_of(page: Path) -> int:
    """Of the whole page in pixels, as the browser lays it out."""
    page.write_text(page.read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
    dom = browse(page, "--dump-dom", f"--window-size={WIDTH},{TALLEST}")
    title = dom.split("<title>", 1)[1].split("</title>", 1)[0]
    return min(TALLEST, round(float(title)) + 1)


def browse(page: Path, *flags: str) -> str:
    """Headless and without its own sandbox, which a container or root does not give it; the page
    is ours and reaches no network."""
    program = shutil.which("chromium") or "chromium"
    fixed = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [program, *fixed, f"--user-data-dir={profile}", *flags, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return done.stdout


if __name__ == "__main__":
    main()

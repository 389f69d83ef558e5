"""Looking at worker bundles as a page would, without running them.

A bundle that is missing shows itself to learners only: their page loads an HTML page into its
worker, and every start fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

from proctoring_hooks.worker.bundles import MAX_BYTES, BadBundle, provider_bundles
from proctoring_hooks.worker.for_lms import is_bundle_address
from proctoring_hooks.worker.javascript import (
    NotJavaScript,
    Token,
    evaluated,
    is_module,
    looks_like_html,
    names,
    strings,
    tokens,
    unguarded_uses,
)

JAVASCRIPT_TYPES = frozenset(
    {"text/javascript", "application/javascript", "application/x-javascript", "text/ecmascript"}
)
MESSAGES = {
    "startExamAttempt": ("examAttemptStarted", "examAttemptStartFailed"),
    "ping": ("echo", "pingFailed"),
    "endExamAttempt": ("examAttemptEnded", "examAttemptEndFailed"),
}
"""What a page says to a worker, and the two answers that it waits for."""
TIMEOUT_S = (3.05, 10)
LOCAL = ("localhost", "127.0.0.1", "::1")


class Level(StrEnum):
    ERROR = "error"
    """Learners can not start, or would be thrown out."""
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    level: Level
    where: str
    """Address or file."""
    text: str


def check_worker(place: str) -> list[Finding]:
    """Everything that is wrong, worst first; none: the bundles can be used.

    `place`: the address of a bundle or of a webpack-worker-stats.json, or a directory or file of
    bundles.
    """
    is_url = place.startswith(("http://", "https://"))
    found = list(_of_url(place) if is_url else _of_path(Path(place)))
    return sorted(found, key=lambda finding: finding.level is not Level.ERROR)


# -- on disk -------------------------------------------------------------------------------------


def _of_path(path: Path) -> Iterator[Finding]:
    if path.is_file():
        yield from _of_file(path)
    elif not path.is_dir():
        yield _error(str(path), "there is no such file or directory")
    else:
        yield from _of_directory(path)


def _of_directory(path: Path) -> Iterator[Finding]:
    scripts = sorted(path.glob("*.js"))
    if not scripts:
        yield _error(str(path), "there is no bundle: no file *.js")
    try:
        provider_bundles(path)
    except BadBundle as error:
        yield _error(str(path), str(error))
    except OSError:
        pass  # said of the file itself
    for script in scripts:
        yield from _of_file(script)


def _of_file(path: Path) -> Iterator[Finding]:
    try:
        if path.stat().st_size > MAX_BYTES:
            yield _error(str(path), f"is larger than {MAX_BYTES} bytes")
            return
        content = path.read_bytes()
    except OSError as error:
        yield _error(str(path), f"can not be read: {error.strerror}")
        return
    yield from _of_script(str(path), content)


# -- served --------------------------------------------------------------------------------------


def _of_url(url: str) -> Iterator[Finding]:
    with requests.Session() as session:
        if is_bundle_address(url) and urlsplit(url).path.endswith(".json"):
            yield from _of_stats(session, url)
        else:
            yield from _of_bundle_url(session, url)


def _of_stats(session: requests.Session, url: str) -> Iterator[Finding]:
    answer = _fetch(session, url)
    if isinstance(answer, Finding):
        yield answer
        return
    try:
        stats = json.loads(answer.content)
        files = {package: stats["assets"][chunks[0]] for package, chunks in stats["chunks"].items()}
        addresses = {
            package: urljoin(url, file.get("publicPath") or file["name"])
            for package, file in files.items()
        }
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        yield _error(url, "is no statistics file of a webpack build")
        return
    if stats.get("status") != "done":
        yield _error(url, f"the build's status is {stats.get('status')!r}, not 'done'")
    if not addresses:
        yield _error(url, "names no bundle")
    for address in addresses.values():
        yield from _of_bundle_url(session, address)


def _of_bundle_url(session: requests.Session, url: str) -> Iterator[Finding]:
    if not is_bundle_address(url):
        yield _error(
            url, "is no address of a file: the LMS names its own root where its build has no bundle"
        )
        return
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        yield _warning(url, "is not HTTPS: pages of an HTTPS site can not load it")
    answer = _fetch(session, url)
    if isinstance(answer, Finding):
        yield answer
        return
    yield from _of_headers(url, answer.headers)
    yield from _of_script(url, answer.content)


@dataclass(frozen=True, slots=True)
class _Answer:
    headers: requests.structures.CaseInsensitiveDict[str]
    content: bytes


def _fetch(session: requests.Session, url: str) -> _Answer | Finding:
    try:
        with session.get(url, allow_redirects=False, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.is_redirect:
                target = answer.headers.get("Location", "")
                return _error(url, f"redirects to {target}; a worker must be there itself")
            if answer.status_code != requests.codes.ok:
                return _error(url, f"is missing: the answer is {answer.status_code}")
            content = b""
            for piece in answer.iter_content(64 * 1024):
                content += piece
                if len(content) > MAX_BYTES:
                    return _error(url, f"is larger than {MAX_BYTES} bytes")
            return _Answer(answer.headers, content)
    except requests.RequestException as error:
        return _error(url, f"can not be fetched: {type(error).__name__}")


def _of_headers(
    url: str, headers: requests.structures.CaseInsensitiveDict[str]
) -> Iterator[Finding]:
    media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in JAVASCRIPT_TYPES:
        yield _error(
            url,
            f"has the type {media_type or '(none)'}, not text/javascript: no worker may load it",
        )
    if headers.get("X-Content-Type-Options", "").lower() != "nosniff":
        yield _warning(url, "is served without X-Content-Type-Options: nosniff")
    if headers.get("Cross-Origin-Resource-Policy", "").lower() != "cross-origin":
        yield _warning(
            url,
            "is served without Cross-Origin-Resource-Policy: cross-origin; pages that isolate "
            "themselves can not load it",
        )


# -- the script itself ---------------------------------------------------------------------------


def _of_script(where: str, content: bytes) -> Iterator[Finding]:
    if not content.strip():
        yield _error(where, "is empty")
        return
    if looks_like_html(content):
        yield _error(where, "is an HTML page, not JavaScript")
        return
    try:
        read = tokens(content.decode("utf-8"))
    except UnicodeDecodeError:
        yield _error(where, "is not UTF-8")
    except NotJavaScript as error:
        yield _error(where, f"is not JavaScript: {error}")
    else:
        yield from _of_tokens(where, read)


def _of_tokens(where: str, read: list[Token]) -> Iterator[Finding]:
    if "eval" in names(read):
        yield _warning(
            where, "uses `eval`, as development builds do; a page's security policy may forbid it"
        )
        read = read + evaluated(read)
    if is_module(read):
        yield _error(where, "is a module (import, export); a worker loads classic scripts only")
    for name in ("window", "document"):
        if unguarded_uses(read, name):
            yield _error(where, f"uses `{name}`, which no worker has")
    if "importScripts" in names(read):
        yield _warning(where, "loads further scripts (importScripts): it does not stand alone")
    said = strings(read) | names(read)
    for message, (done, failed) in MESSAGES.items():
        if message not in said or done not in said:
            yield _error(where, f"does not answer `{message}` with `{done}`: the page would hang")
        elif failed not in said:
            yield _warning(where, f"never says `{failed}`: after a failure the page would hang")


def _error(where: str, text: str) -> Finding:
    return Finding(level=Level.ERROR, where=where, text=text)


def _warning(where: str, text: str) -> Finding:
    return Finding(level=Level.WARNING, where=where, text=text)

"""Fetching the files a learner uploaded, within bounds.

The addresses come from the server, the bytes from a store anyone may have a signed address of:
only http(s), no redirect to another host (it could name the cloud's metadata service), every
read bounded.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests

from grader_worker.bounded_body import BodyTooLong, BodyTooSlow, read_body
from grader_worker.errors import FilesUnavailable, SubmissionUnusable

MIB = 1024 * 1024
MAX_REDIRECTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBounds:
    """The LMS lets a learner send 20 files of 4 MB; what goes beyond is not a learner's."""

    count: int = 20
    file_bytes: int = 5 * MIB
    total_bytes: int = 16 * MIB
    seconds: float = 30.0
    """For all files of one submission together."""


class SubmittedFiles:
    """Downloads with the server's own session where the file lies on the server, else without
    any credentials."""

    def __init__(
        self,
        server_url: str,
        server_session: requests.Session,
        *,
        bounds: FileBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server_url = server_url
        self._server_session = server_session
        self._bounds = bounds or FileBounds()
        self._clock = clock

    def fetch(self, files_json: str) -> dict[str, Any]:
        """Name -> text, or `{"base64": …}` for bytes that are not UTF-8 or hold a zero.

        Raises:
            SubmissionUnusable: not a map of names to addresses, or beyond the bounds.
            FilesUnavailable: the store did not deliver.
        """
        addresses = _addresses(files_json)
        if len(addresses) > self._bounds.count:
            raise SubmissionUnusable(f"{len(addresses)} files, at most {self._bounds.count}")
        deadline = self._clock() + self._bounds.seconds
        left = self._bounds.total_bytes
        contents: dict[str, Any] = {}
        for number, (name, address) in enumerate(addresses.items(), start=1):
            # Learners name their files, also after themselves: not in what may be logged.
            which = f"file {number}"
            data = self._download(which, address, min(left, self._bounds.file_bytes), deadline)
            left -= len(data)
            contents[name] = _as_job_value(data)
        return contents

    def _download(self, which: str, address: str, max_bytes: int, deadline: float) -> bytes:
        # Tutor's server hands out addresses without a host.
        url = _joined(which, self._server_url + "/", address)
        for _ in range(MAX_REDIRECTS + 1):
            with self._open(which, url) as response:
                if not response.is_redirect:
                    return self._read(which, response, max_bytes, deadline)
                target = _joined(which, url, response.headers["Location"])
            if _origin(urlsplit(target)) != _origin(urlsplit(url)):
                raise SubmissionUnusable(f"{which} redirects to another host")
            url = target
        raise FilesUnavailable(f"{which}: too many redirects")

    def _open(self, which: str, url: str) -> requests.Response:
        try:
            return self._session_for(url).get(
                url, stream=True, timeout=(3.05, 10), allow_redirects=False
            )
        except requests.RequestException as error:
            raise FilesUnavailable(f"{which}: {type(error).__name__}") from error

    def _session_for(self, url: str) -> requests.Session:
        if _origin(urlsplit(url)) == _origin(urlsplit(self._server_url)):
            return self._server_session
        stranger = requests.Session()
        stranger.trust_env = False
        stranger.verify = self._server_session.verify
        return stranger

    def _read(
        self, which: str, response: requests.Response, max_bytes: int, deadline: float
    ) -> bytes:
        if response.status_code != 200:
            raise FilesUnavailable(f"{which}: HTTP {response.status_code}")
        try:
            return read_body(response, max_bytes=max_bytes, deadline=deadline, clock=self._clock)
        except BodyTooLong as error:
            raise SubmissionUnusable(f"{which} is larger than {max_bytes} bytes") from error
        except BodyTooSlow as error:
            raise FilesUnavailable(f"{which}: the store is too slow") from error
        except requests.RequestException as error:
            raise FilesUnavailable(f"{which}: {type(error).__name__}") from error


def _addresses(files_json: str) -> Mapping[str, str]:
    try:
        addresses = json.loads(files_json or "{}")
    except (ValueError, RecursionError) as error:
        raise SubmissionUnusable(f"xqueue_files is not JSON: {error}") from error
    # The original sends '' or null for "none" in places.
    if not addresses:
        return {}
    if not isinstance(addresses, dict) or not all(isinstance(a, str) for a in addresses.values()):
        raise SubmissionUnusable("xqueue_files does not map names to addresses")
    return addresses


def _joined(which: str, base: str, address: str) -> str:
    try:
        url = urljoin(base, address)
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.port != 0:
            return url
    except ValueError:
        pass  # brackets or a port that are none
    raise SubmissionUnusable(f"{which} is not at an http(s) address")


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _as_job_value(data: bytes) -> object:
    """Zeros are valid UTF-8 and nobody's text; as JSON text they would take six bytes each."""
    try:
        if b"\0" not in data:
            return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    return {"base64": base64.b64encode(data).decode("ascii")}

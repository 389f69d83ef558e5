"""Speaks to the server's API for graders (docs/reference/api.md) with an author's token."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from graders.bundle import Bundle
from graders.errors import ServerBusy, ServerRefused
from graders.manifest import Manifest, manifest_to_json
from graders.trying import Answer

TIMEOUT_S = (10, 60)
"""To connect, and between bytes: longer than a long poll."""
WAIT_S = 20
TRIAL_S = 600.0
PAUSE_S = 2.0
"""Between two looks at a trial: a server that is busy answers at once instead of waiting."""
LONGEST_PAUSE_S = 60.0
BUSY = (429, 503)
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
JSON = "application/json"


def read_token(path: Path) -> str:
    """The file's only line. Raises ServerRefused."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServerRefused(f"the token file {path} cannot be read: {error}") from error
    if not token or len(token.split()) != 1:
        raise ServerRefused(f"the token file {path} must hold one token and nothing else")
    return token


class ServerClient:
    """One server, one author. Every method raises ServerRefused for anything unexpected."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServerRefused(f"{url!r} is not the address of a server (https://…)")
        if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
            raise ServerRefused(f"{url} would send your token unencrypted; use https")
        self._url = url.rstrip("/")
        self._clock = clock
        self._sleep = sleep
        self._session = session or requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """The JSON of the answer; `path` begins with `/api/v1`."""
        try:
            answer = self._session.request(
                method,
                self._url + path,
                timeout=TIMEOUT_S,
                # A token must not follow to wherever the server points.
                allow_redirects=False,
                **arguments,
            )
        except requests.RequestException as error:
            raise ServerRefused(f"{self._url} cannot be reached: {_why(error)}") from error
        if not 200 <= answer.status_code < 300:
            if answer.status_code in BUSY:
                raise ServerBusy(_refusal(answer), retry_after_s=_retry_after_s(answer))
            raise ServerRefused(_refusal(answer))
        try:
            return answer.json()
        except ValueError as error:
            raise ServerRefused(f"{self._url} did not answer with JSON to {path}") from error

    def store_bundle(self, bundle: Bundle) -> None:
        name = bundle.digest.removeprefix("sha256:")
        kind = {"Content-Type": "application/octet-stream"}
        self.request("PUT", f"/api/v1/bundles/{name}", data=bundle.content, headers=kind)

    def try_answer(
        self, queue: str, bundle: Bundle | None, manifest: Manifest, answer: Answer
    ) -> dict[str, Any]:
        """Run it on the server's workers, and wait: the ended trial, graded or failed.

        No bundle for a grader that is an image, which the manifest names.
        """
        job = answer.job(manifest)
        files = {name: base64.b64encode(content).decode() for name, content in answer.files.items()}
        asked = {
            "queue": queue,
            "digest": None if bundle is None else bundle.digest,
            "image": manifest.image,
            "manifest": manifest_to_json(manifest),
            "response": answer.response,
            "payload": job["payload"],
            "seed": answer.seed,
            "files": files,
        }
        if bundle is not None:
            self.store_bundle(bundle)
        trial = self.request("POST", "/api/v1/trials", json=asked)
        return self._await_trial(trial["id"])

    def _await_trial(self, trial_id: int) -> dict[str, Any]:
        until = self._clock() + TRIAL_S
        while self._clock() < until:
            pause_s = PAUSE_S
            try:
                trial: dict[str, Any] = self.request(
                    "GET", f"/api/v1/trials/{trial_id}", params={"wait": WAIT_S}
                )
                if trial.get("state") in ("graded", "failed"):
                    return trial
            except ServerBusy as busy:
                pause_s = max(PAUSE_S, busy.retry_after_s or 0.0)
            self._sleep(min(pause_s, LONGEST_PAUSE_S))
        raise ServerRefused(
            f"trial {trial_id} has not been graded in {TRIAL_S:g} s; does a worker serve the queue?"
        )


def _retry_after_s(answer: requests.Response) -> float | None:
    """The header may also be a date (RFC 9110, 10.2.3), which our server never sends."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else None


def _why(error: requests.RequestException) -> str:
    """The innermost cause: around it are the names of library classes."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(cause).__name__


def _refusal(answer: requests.Response) -> str:
    """The server's own sentence, and its reasons where that does not say them already."""
    try:
        problem = answer.json()
        sentence = str(problem["detail"])
        reasons = problem.get("errors") or []
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code} {answer.reason}"
    said = [f"{each.get('where')}: {each.get('problem')}" for each in reasons]
    lines = [line for line in said if line not in sentence]
    return "\n".join([f"the server refused ({answer.status_code}): {sentence}", *lines])

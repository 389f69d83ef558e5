"""Fetches an image that is pinned by a registry's digest, with the credential that this process's
user has for that registry.

Credentials are where `docker login` leaves them (`~/.docker/config.json`, or the folder that
DOCKER_CONFIG names), helpers included; they go to the engine in a header, as its API wants them:
https://docs.docker.com/reference/api/engine/version/v1.41/#section/Authentication
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.backends.docker.engine import EngineClient, EngineRefused
from sandbox.errors import GraderNotUsable, SandboxError, SandboxUnavailable

log = logging.getLogger(__name__)

BY_DIGEST = re.compile(r"(?P<name>[^@\s]+)@(?P<digest>sha256:[0-9a-f]{64})")
IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
DOCKER_HUB = "docker.io"
IDLE_S = 120.0
"""Without a word from the engine, which reports its progress all the time."""
PULL_S = 1800.0
PATIENCE_S = 60.0
"""How long whoever asks first waits for an image. Less than a client of sandboxd does for all of a
preparation, so that it learns what is going on."""
NOT_THERE = ("manifest unknown", "not found", "name unknown", "repository name not known")
NO_ACCESS = (
    "unauthorized",
    "no basic auth credentials",
    "authentication required",
    "denied",
    "forbidden",
)
OTHER_MACHINE = ("no matching manifest",)


class OtherMachine(GraderNotUsable):
    """Made for another architecture or system than this host's; elsewhere it may be fine."""


def is_pinned(reference: str) -> bool:
    """Whether it can never mean another image."""
    return bool(BY_DIGEST.fullmatch(reference) or IMAGE_ID.fullmatch(reference))


def registry_of(name: str) -> str:
    """`HOST` or `HOST:PORT` of the image `name`, as Docker reads it: without a dot, a port or
    `localhost` before the first slash it is Docker Hub's."""
    first, slash, _ = name.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if is_host else DOCKER_HUB


def stored_credential(name: str) -> str:
    """Of the registry of the image `name`, as the header's value; empty when there is none.

    Raises SandboxUnavailable when the user's configuration can not be read.
    """
    # Not needed by runs, whose processes should not spend a tenth of a second on importing it.
    from docker import auth
    from docker.errors import DockerException

    try:
        registry, _ = auth.resolve_repository_name(name)
        credential = auth.load_config().resolve_authconfig(registry)
    except (DockerException, OSError, ValueError) as error:
        raise SandboxUnavailable(
            f"the Docker credentials of this user can not be read: {type(error).__name__}"
        ) from error
    return auth.encode_header(credential).decode() if credential else ""


class BeingFetched(SandboxUnavailable):
    """Not there yet, but on its way."""


@dataclass(slots=True, kw_only=True)
class Pull:
    """One image that was asked for. `error` is why it did not come."""

    reference: str
    asked_at: float
    """On the monotonic clock."""
    since: datetime
    has_turn: bool = False
    error: SandboxError | None = None
    has_ended: threading.Event = field(default_factory=threading.Event)

    def __str__(self) -> str:
        since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
        if self.has_turn:
            return f"{self.reference} is being fetched since {since}"
        return f"{self.reference} waits since {since} for other images to be fetched"


def _now() -> datetime:
    return datetime.now(UTC)


class ImagePuller:
    """Thread-safe; one image at a time, so that graders do not compete for the line. An image is
    fetched by a thread of its own, which goes on when nobody waits for it any more."""

    def __init__(
        self,
        engine: EngineClient,
        *,
        credential: Callable[[str], str] = stored_credential,
        idle_s: float = IDLE_S,
        pull_s: float = PULL_S,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._engine = engine
        self._credential = credential
        self._idle_s = idle_s
        self._pull_s = pull_s
        self._patience_s = patience_s
        self._clock = clock
        self._now = now
        self._line = threading.Lock()
        self._lock = threading.Lock()
        self._pulls: dict[str, Pull] = {}

    def pull(self, reference: str) -> None:
        """`reference` is `NAME@sha256:…`. Waits for it a while, but not for one that somebody has
        asked for long ago.

        Raises:
            BeingFetched: it takes longer than that; ask again.
            GraderNotUsable: nothing of that digest is there, or not for this machine.
            SandboxUnavailable: no access, no registry, no engine: not now, and not from here.
        """
        pinned = BY_DIGEST.fullmatch(reference)
        if pinned is None:
            raise GraderNotUsable(f"{reference} is not pinned by a digest, so it is not fetched")
        pull = self._pull_of(reference, pinned["name"], pinned["digest"])
        remaining_s = pull.asked_at + self._patience_s - self._clock()
        if not pull.has_ended.wait(max(0.0, remaining_s)):
            raise BeingFetched(str(pull))
        self._forget(pull)
        if pull.error is not None:
            raise pull.error

    def _pull_of(self, reference: str, name: str, digest: str) -> Pull:
        """The one that goes on or has failed since somebody asked last; else a new one."""
        with self._lock:
            if reference not in self._pulls:
                pull = Pull(reference=reference, asked_at=self._clock(), since=self._now())
                arguments = (pull, name, digest)
                # A daemon: a process that is to end does not wait half an hour for a registry.
                threading.Thread(
                    target=self._fetch, args=arguments, name="image-puller", daemon=True
                ).start()
                self._pulls[reference] = pull
            return self._pulls[reference]

    def _fetch(self, pull: Pull, name: str, digest: str) -> None:
        try:
            credential = self._credential(name)
            with self._line:
                pull.has_turn = True
                self._follow(pull.reference, name, digest, credential)
        except SandboxError as error:
            pull.error = error
        except Exception as crashed:
            log.exception("fetching an image crashed")
            pull.error = SandboxUnavailable(f"fetching {pull.reference}: {crashed!r}")
        else:
            # Whoever asks next finds the image. Why it failed is kept until somebody has asked.
            self._forget(pull)
        finally:
            pull.has_ended.set()

    def _forget(self, pull: Pull) -> None:
        with self._lock:
            if self._pulls.get(pull.reference) is pull:
                del self._pulls[pull.reference]

    def _follow(self, reference: str, name: str, digest: str, credential: str) -> None:
        until = time.monotonic() + self._pull_s
        try:
            for event in self._engine.pull_image(name, digest, credential, self._idle_s):
                if "error" in event:
                    raise _refusal(reference, _message(event))
                if time.monotonic() > until:
                    raise SandboxUnavailable(
                        f"{reference} was not fetched within {self._pull_s:g} s"
                    )
        except EngineRefused as refused:
            raise _refusal(reference, refused.said) from refused


def _message(event: dict[str, Any]) -> str:
    return str(event["error"])


def _refusal(reference: str, said: str) -> SandboxError:
    """The registry's words decide what it is: its status codes do not reach us."""
    words = said.lower()
    # A registry that hides what is not for us says both; signing in may help then.
    if any(sign in words for sign in NO_ACCESS):
        return SandboxUnavailable(
            f"{reference}: the registry gives this host no access; as the user of the worker, run "
            f"`docker login` with a credential that may read ({said[:200]})"
        )
    if any(sign in words for sign in OTHER_MACHINE):
        return OtherMachine(f"{reference} is not made for this kind of machine ({said[:200]})")
    if any(sign in words for sign in NOT_THERE):
        return GraderNotUsable(f"the registry does not have {reference} ({said[:200]})")
    return SandboxUnavailable(f"{reference} can not be fetched: {said[:300]}")

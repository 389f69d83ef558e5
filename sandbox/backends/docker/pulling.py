"""Fetches an image that is pinned by a registry's digest, with the credential that this process's
user has for that registry.

Credentials are where `docker login` leaves them (`~/.docker/config.json`, or the folder that
DOCKER_CONFIG names), helpers included; they go to the engine in a header, as its API wants them:
https://docs.docker.com/reference/api/engine/version/v1.41/#section/Authentication
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from sandbox.backends.docker.engine import EngineClient, EngineRefused
from sandbox.errors import GraderNotUsable, SandboxUnavailable

BY_DIGEST = re.compile(r"(?P<name>[^@\s]+)@(?P<digest>sha256:[0-9a-f]{64})")
IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
IDLE_S = 120.0
"""Without a word from the engine, which reports its progress all the time."""
PULL_S = 1800.0
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


class ImagePuller:
    """Thread-safe; one image at a time, so that graders do not compete for the line."""

    def __init__(
        self,
        engine: EngineClient,
        *,
        credential: Callable[[str], str] = stored_credential,
        idle_s: float = IDLE_S,
        pull_s: float = PULL_S,
    ) -> None:
        self._engine = engine
        self._credential = credential
        self._idle_s = idle_s
        self._pull_s = pull_s
        self._pulling = threading.Lock()

    def pull(self, reference: str) -> None:
        """`reference` is `NAME@sha256:…`.

        Raises:
            GraderNotUsable: nothing of that digest is there, or not for this machine.
            SandboxUnavailable: no access, no registry, no engine: not now, and not from here.
        """
        pinned = BY_DIGEST.fullmatch(reference)
        if pinned is None:
            raise GraderNotUsable(f"{reference} is not pinned by a digest, so it is not fetched")
        credential = self._credential(pinned["name"])
        with self._pulling:
            self._follow(reference, pinned["name"], pinned["digest"], credential)

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


def _refusal(reference: str, said: str) -> Exception:
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

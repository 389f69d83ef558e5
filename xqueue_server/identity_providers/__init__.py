"""Signing people in elsewhere: where to send the browser, and who came back.

An implementation speaks to one provider over HTTP. Whose account a person has here is `people`'s
business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from xqueue_server.errors import XQueueError

TIMEOUT_S = 10.0


class ProviderUnavailable(XQueueError):
    """The provider does not answer, or not as it should; the message says what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A browser that leaves for the provider; what must be the same when it comes back."""

    url: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    """Of PKCE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    issuer: str
    subject: str
    """Theirs at this issuer, for ever."""
    name: str
    """As an account might be called."""
    email: str | None = None
    """None unless the provider says that it was verified."""


class IdentityProvider(Protocol):
    @property
    def name(self) -> str:
        """As the button says it."""
        ...

    def depart(self, redirect_uri: str) -> Departure:
        """Raises: ProviderUnavailable."""
        ...

    def arrive(self, departure: Departure, code: str, redirect_uri: str) -> Person:
        """Who came back with this code.

        Raises:
            NotSignedIn: the provider refused, or what it sent does not stand.
            ProviderUnavailable: it does not answer.
        """
        ...

"""An LMS that we serve: where it is, and the secrets that it and we know each other by."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Lms:
    name: str
    base_url: str
    """Without a slash at its end; {base_url}/oauth2/access_token is its token endpoint."""
    origins: tuple[str, ...]
    """Of its callback URLs, by which its submissions are told from another LMS's. The LMS may call
    back to an inner address that no browser knows: these are no pages."""
    backend: str
    """Name of our entry in its PROCTORING_BACKENDS; part of what it obscures user ids with."""
    client_id: str
    """By which it signs in here."""
    client_secret: str = field(repr=False)
    our_client_id: str
    """By which we sign in there."""
    our_client_secret: str = field(repr=False)
    obfuscation_key: str = field(repr=False)
    """Its PROCTORING_USER_OBFUSCATION_KEY; "": attempts it keeps can not be joined to learners."""
    jwt_issuer: str = ""
    jwt_keys: str = ""
    """JSON Web Key Set (public) of the tokens that its learners bring; "": it sends us none."""
    studio_secret: str = field(default="", repr=False)
    """Its JWT_SECRET_KEY, with which Studio signs what it publishes; "": it publishes nothing here.
    Such a token can do nothing else."""
    sends_events: bool = False
    """Attempts of our own are told to it on the event bus."""
    loads_worker: bool = False
    """Its pages may load our worker, in exams that we watch. Where their content security policy
    does not allow it, no exam could be started."""
    forwards_exams: bool = False
    """It keeps exams of its own, too: about courses of which nothing is here, we ask it."""
    page_origins: tuple[str, ...] = ()
    """Where its micro-frontends are, beside `base_url`: their pages may use a learner's cookies
    here, and our worker."""

    @property
    def pages(self) -> frozenset[str]:
        """Origins of all its pages."""
        parts = urlsplit(self.base_url)
        return frozenset({f"{parts.scheme}://{parts.netloc}", *self.page_origins})

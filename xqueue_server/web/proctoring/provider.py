"""The provider face, with what of this server it needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flask import Blueprint, Response, g, request

from proctoring_hooks.exam import Terms
from proctoring_hooks.store import Session
from proctoring_hooks.web.provider_face import ConsoleWish, ProviderFace, provider_face
from xqueue_server.accounts.client_address import client_address
from xqueue_server.accounts.failed_logins import FailedLogins
from xqueue_server.errors import StorageUnavailable
from xqueue_server.secret_key import key_for
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.upkeep import learner_data
from xqueue_server.web.services import Services

LINKS = "exam links"
"""What the key of learners' links is for (see `proctoring_hooks.links`)."""
TOKENS = "proctoring tokens"


def provider(services: Services, open_console: Callable[[ConsoleWish], Response]) -> Blueprint:
    settings = services.settings
    routes = provider_face(
        ProviderFace(
            store=services.proctoring,
            base_url=settings.public_url.rstrip("/"),
            token_key=key_for(TOKENS, settings.secret_key),
            link_key=key_for(LINKS, settings.secret_key),
            open_console=open_console,
            course_terms=_course_terms,
            retire=partial(
                learner_data.retire,
                services.storage,
                services.files,
                secret_key=settings.secret_key,
            ),
            guesses=FailedLogins(),
            address=lambda: client_address(
                request.remote_addr,
                request.headers.get("X-Forwarded-For"),
                settings.trusted_proxies,
            ),
            request_id=lambda: str(g.request_id),
        )
    )
    routes.register_error_handler(StorageUnavailable, _unavailable)
    return routes


def _course_terms(session: Session, lms: str, course_id: str) -> Terms:
    assert isinstance(session, ProctoringSession), "the store is this server's"
    return session.service.course(lms, course_id).terms


def _unavailable(_error: StorageUnavailable) -> tuple[dict[str, str], int, dict[str, str]]:
    answer = {"code": "unavailable", "message": "The database can not be reached; try again"}
    return answer, 503, {"Retry-After": "5"}

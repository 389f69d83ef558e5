"""A learner's page of an attempt, behind a signed link that the LMS's exam page shows.

It needs no account: the link is the right to look at this one attempt. Hundreds of these pages ask
every few seconds; each question is one cheap statement that locks nothing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask, Response, g, jsonify, request

from proctoring_hooks import attempts
from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.links import BadLink, ExpiredLink, attempt_of_link
from proctoring_hooks.statuses import IN_PROGRESS
from proctoring_hooks.transitions import Action, Actor, By, Refused
from xqueue_server.errors import Conflict, StorageUnavailable
from xqueue_server.instant import to_datetime
from xqueue_server.secret_key import key_for
from xqueue_server.storage.proctoring import pages
from xqueue_server.storage.proctoring.pages import LearnersView
from xqueue_server.web.admin.security import is_from_here, protect
from xqueue_server.web.proctoring.learner_words import (
    grades_of,
    is_auto_pass,
    is_over,
    is_readied_here,
    is_watched_by_us,
    warnings_of,
    words_of,
)
from xqueue_server.web.proctoring.paths import LEARNER, TIME
from xqueue_server.web.proctoring.provider import LINKS
from xqueue_server.web.proctoring.rendering import error_page, page, render
from xqueue_server.web.services import Services

log = logging.getLogger(__name__)

BY_PAGE = "page"
NO_SUCH = "There is no such attempt. Open this page from the exam in your course."
EXPIRED = (
    "This link is too old. Until you have started the exam, its page in your course shows a new "
    "one. Afterwards your course team tells you what became of it."
)

Served = Callable[[Services, LearnersView, str], Response]


def add_learner_page(app: Flask, services: Services) -> None:
    def add(method: str, rule: str, view: Served) -> None:
        def serve(token: str) -> Response:
            response = _served(services, view, token)
            # The address is the right to look: no other site may learn of it.
            response.headers["Referrer-Policy"] = "no-referrer"
            return protect(response)

        app.add_url_rule(
            f"{LEARNER}/<token>{rule}",
            f"learner {method} {rule}",
            serve,
            methods=[method],
            provide_automatic_options=False,
        )

    add("GET", "", _show)
    add("GET", "/status", _status)
    add("POST", "/ready", _ready)


def _served(services: Services, view: Served, token: str) -> Response:
    try:
        now = _now(services)
        key = key_for(LINKS, services.settings.secret_key)
        attempt_id = attempt_of_link(key, token, now=now)
        with services.storage.read() as tx:
            found = pages.learners_view(tx, attempt_id)
        if found is None:
            return error_page(404, NO_SUCH)
        g.notes["attempt_id"] = attempt_id
        return view(services, found, token)
    except ExpiredLink:
        return error_page(410, EXPIRED)
    except BadLink:
        return error_page(404, NO_SUCH)
    except Conflict as error:
        return error_page(409, f"{error}.")
    except StorageUnavailable:
        return error_page(503, "The database can not be reached now. Please try again in a moment.")


def _now(services: Services) -> datetime:
    """A link lasts for days: for that the database need not be asked what the time is."""
    given = services.storage.clock.now_us()
    return datetime.now(UTC) if given is None else to_datetime(given)


def _show(_services: Services, view: LearnersView, token: str) -> Response:
    return page(
        render(
            "learner.html",
            view=view,
            shown=_shown(view),
            here=f"{LEARNER}/{token}",
            time=TIME,
            rules=view.terms.rules,
            is_ours=view.is_proctored and is_watched_by_us(view.terms, view.clock_owner),
            is_auto=is_auto_pass(view),
            is_theirs=view.clock_owner is ClockOwner.LMS,
        )
    )


def _shown(view: LearnersView) -> dict[str, object]:
    """What the page shows and its script follows. Nothing in it changes by time alone, so that most
    answers are empty: what the time is here, the page asks at `/proctoring/time`."""
    words = words_of(view)
    is_running = view.status in IN_PROGRESS and view.expires_at is not None
    return {
        "status": view.status,
        "title": words.title,
        "text": words.text,
        "expires_at": view.expires_at.isoformat() if is_running and view.expires_at else None,
        "warnings": warnings_of(view),
        "grades": grades_of(view),
        "is_readied_here": is_readied_here(view),
        "is_over": is_over(view),
    }


def _status(_services: Services, view: LearnersView, _token: str) -> Response:
    response = jsonify(_shown(view))
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
    response.make_conditional(request)
    return response


def _ready(services: Services, view: LearnersView, _token: str) -> Response:
    """The browser has passed the page's check. Said again, it changes nothing.

    Raises: Conflict: not by this page.
    """
    if not is_from_here(request, services.settings):
        return error_page(403, "The page came from elsewhere; nothing was done.")
    is_ours = view.is_proctored and is_watched_by_us(view.terms, view.clock_owner)
    if not is_ours or view.terms.readying != "page":
        raise Conflict("This exam is not begun from this page")
    by = By(actor=Actor.PROVIDER, who=BY_PAGE, request_id=g.request_id)
    try:
        with services.proctoring.write() as session:
            attempts.act(session, view.id, Action.READY, by)
    except Refused as error:
        raise Conflict(f"{error}") from None
    with services.storage.read() as tx:
        after = pages.learners_view(tx, view.id)
    return jsonify(_shown(after or view))

"""Which address of the console is served by what, and what every request goes through first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Flask, Response, g, jsonify, request

from proctoring_hooks.web.provider_face import ConsoleWish
from xqueue_server.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from xqueue_server.live import ticket as tickets
from xqueue_server.live.ticket import Ticket
from xqueue_server.storage.proctoring import news
from xqueue_server.web.admin import session as admin_session
from xqueue_server.web.admin.call import Forbidden, see_other
from xqueue_server.web.admin.paths import at as admin_at
from xqueue_server.web.admin.security import fits, is_from_here, protect
from xqueue_server.web.proctoring import console_session
from xqueue_server.web.proctoring.console_actions import accept_held, do, refuse_held
from xqueue_server.web.proctoring.console_call import ConsoleCall, Refusal, written
from xqueue_server.web.proctoring.console_pages import show_attempt, show_exam, show_exams
from xqueue_server.web.proctoring.paths import CONSOLE, CONSOLE_HOME, ENTRY, STATIC, at
from xqueue_server.web.proctoring.rendering import error_page, static_file
from xqueue_server.web.services import Services

ELSEWHERE = "That came from another site; nothing was done."
AGAIN = "The page was too old, so nothing was done: look at it again, then decide."
GONE = (
    "Your session at the console has ended, or never began. Open the console from your course in "
    "the LMS, or sign in with an account of this server."
)

View = Callable[..., Response]


def add_console(app: Flask, services: Services) -> None:
    def add(method: str, rule: str, view: Callable[..., Response]) -> None:
        app.add_url_rule(
            rule,
            f"console {method} {rule}",
            view,
            methods=[method],
            provide_automatic_options=False,
        )

    def guarded(view: View) -> Callable[..., Response]:
        return lambda **parts: protect(_answered(lambda: _served(services, view, parts), services))

    add("GET", f"{STATIC}/<digest>/<name>", static_file)
    add("GET", ENTRY, lambda: protect(_answered(lambda: _enter(services), services)))
    add("GET", CONSOLE, lambda: see_other(CONSOLE_HOME))
    add("GET", f"{CONSOLE}/", guarded(show_exams))
    add("GET", f"{CONSOLE}/exams/<int:exam_id>", guarded(show_exam))
    add("POST", f"{CONSOLE}/exams/<int:exam_id>/accept", guarded(accept_held))
    add("POST", f"{CONSOLE}/exams/<int:exam_id>/refuse", guarded(refuse_held))
    add("GET", f"{CONSOLE}/attempts/<int:attempt_id>", guarded(show_attempt))
    add("POST", f"{CONSOLE}/attempts/<int:attempt_id>/<deed_name>", guarded(do))
    add("GET", f"{CONSOLE}/ticket", guarded(give_ticket))
    add("POST", f"{CONSOLE}/leave", guarded(leave))


# -- coming and going ----------------------------------------------------------------------------


def open_console(services: Services, wish: ConsoleWish) -> Response:
    """Begin a session for somebody whom an LMS has just vouched for, and go to what he came for."""
    secret = console_session.begin_for_instructor(
        services.storage,
        lms=wish.lms,
        course_id=wish.course_id,
        obscured_id=wish.who.obscured_id,
        email=wish.who.email,
    )
    to = CONSOLE_HOME
    if wish.attempt_id is not None:
        to = at("attempts", wish.attempt_id)
    elif wish.exam_id is not None:
        to = at("exams", wish.exam_id)
    response = see_other(to)
    console_session.set_cookie(response, request, services.settings, secret)
    return protect(response)


def _enter(services: Services) -> Response:
    """From the admin pages: their cookie is not sent to the console, which gets one of its own."""
    secret = admin_session.secret_of(request)
    with services.storage.read() as tx:
        account = admin_session.account_of(tx, secret) if secret else None
    if account is None:
        return see_other(admin_at("sign-in", next=ENTRY))
    response = see_other(CONSOLE_HOME)
    begun = console_session.begin_for_account(services.storage, account)
    console_session.set_cookie(response, request, services.settings, begun)
    return response


def leave(call: ConsoleCall) -> Response:
    console_session.end(call.services.storage, call.request)
    response = error_page(401, "You have left the console.")
    response.status_code = 200
    console_session.drop_cookie(response)
    return response


# -- live ----------------------------------------------------------------------------------------


def give_ticket(call: ConsoleCall) -> Response:
    """What a page listens with: {ticket, after, now_ms, lasts_s}. The place is that of now, so a
    page that looks at itself once it listens has missed nothing."""
    lms, course_id = call.parameter("lms"), call.parameter("course")
    if not course_id or not call.proctor.may_see(lms, course_id):
        raise NotFound("There is no such course, or it is not yours to see")
    now_s = call.now.timestamp()
    ticket = Ticket(
        lms=lms,
        course_id=course_id,
        exam_id=None,
        attempt_id=None,
        holder=call.proctor.holder,
        until_s=int(now_s) + tickets.LASTS_S,
    )
    with call.services.storage.read() as tx:
        place = news.settled(tx)
    return jsonify(
        ticket=tickets.written(ticket, call.settings.secret_key),
        after=str(place),
        now_ms=round(now_s * 1000),
        lasts_s=tickets.LASTS_S,
    )


# -- around every request ------------------------------------------------------------------------


def _served(services: Services, view: View, parts: dict[str, Any]) -> Response:
    with services.storage.read() as tx:
        proctor = console_session.proctor_of(tx, request)
    if proctor is None:
        return error_page(401, GONE, back=ENTRY, written=written(services.settings))
    call = ConsoleCall(request=request, services=services, proctor=proctor)
    g.notes["console"] = proctor.who
    if request.method == "POST" and not is_from_here(request, services.settings):
        return error_page(403, ELSEWHERE, back=CONSOLE_HOME)
    try:
        if request.method == "POST" and not _is_of_this_session(call):
            return _asked_again(call, parts, Refusal(status=403, why=AGAIN))
        return view(call, **parts)
    except Forbidden as error:
        return _refused(call, Refusal(status=403, why=f"{error}."), CONSOLE_HOME)
    except NotFound as error:
        return _refused(call, Refusal(status=404, why=f"{error}."), CONSOLE_HOME)
    except InvalidRequest as error:
        return _asked_again(call, parts, Refusal(status=422, why=f"{error}."))
    except Conflict as error:
        return _asked_again(call, parts, Refusal(status=409, why=f"{error}."))


def _asked_again(call: ConsoleCall, parts: dict[str, Any], refusal: Refusal) -> Response:
    """The attempt as it is now, with what was typed in the form that did not go through."""
    if "deed_name" in parts:
        with suppress(NotFound):
            return show_attempt(
                call, parts["attempt_id"], refusal=refusal, deed_name=parts["deed_name"]
            )
    return _refused(call, refusal, _back(parts))


def _refused(call: ConsoleCall, refusal: Refusal, back: str) -> Response:
    typed = written(call.settings)
    return error_page(refusal.status, refusal.why, back=back, written=typed)


def _back(parts: dict[str, Any]) -> str:
    if "attempt_id" in parts:
        return at("attempts", parts["attempt_id"])
    return at("exams", parts["exam_id"]) if "exam_id" in parts else CONSOLE_HOME


def _is_of_this_session(call: ConsoleCall) -> bool:
    return fits(call.fields.get("csrf"), call.settings.secret_key, call.proctor.secret)


def _answered(view: Callable[[], Response], services: Services) -> Response:
    try:
        return view()
    except InvalidRequest as error:
        return error_page(422, f"{error}.")
    except StorageUnavailable:
        why = "The database can not be reached now. Please try again in a moment."
        return error_page(503, why, written=written(services.settings))

"""Which admin page is served by what, and what every request goes through first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, request

from xqueue_server.authoring.publishing import Refused
from xqueue_server.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from xqueue_server.web.admin import (
    account_pages,
    bulk_pages,
    callback_pages,
    deadline_pages,
    event_pages,
    fault_pages,
    grader_pages,
    overview,
    queue_pages,
    regrade_pages,
    session,
    signing_in,
    submission_list,
    submission_page,
    worker_pages,
)
from xqueue_server.web.admin.call import AdminCall, Forbidden, see_other
from xqueue_server.web.admin.errors import error_page
from xqueue_server.web.admin.paths import BASE, HOME, at
from xqueue_server.web.admin.rendering import static_file
from xqueue_server.web.admin.route import Route
from xqueue_server.web.admin.security import fits, is_from_here, protect
from xqueue_server.web.services import Services

ROUTES: tuple[Route, ...] = (
    *overview.ROUTES,
    *submission_list.ROUTES,
    *submission_page.ROUTES,
    *bulk_pages.ROUTES,
    *callback_pages.ROUTES,
    *fault_pages.ROUTES,
    *queue_pages.ROUTES,
    *grader_pages.ROUTES,
    *regrade_pages.ROUTES,
    *worker_pages.ROUTES,
    *deadline_pages.ROUTES,
    *account_pages.ROUTES,
    *event_pages.ROUTES,
)
SIGNING_IN = {
    ("GET", "/sign-in"): signing_in.show,
    ("POST", "/sign-in"): signing_in.with_password,
    ("GET", "/sign-in/away"): signing_in.depart,
    ("GET", "/sign-in/callback"): signing_in.arrive,
}
"""Served to anybody."""
AGAIN = "The page was too old or came from elsewhere; nothing was done. Go back, reload, try again."


def add_admin(app: Flask, services: Services) -> None:
    for (method, path), view in SIGNING_IN.items():
        _add(app, method, path, _open(view, services))
    _add(app, "POST", "/sign-out", _guarded_sign_out(services))
    _add(app, "GET", "/static/<digest>/<name>", _static)
    for route in ROUTES:
        _add(app, route.method, route.path, _guarded(route, services))
    app.add_url_rule(BASE, "admin without slash", lambda: see_other(HOME), methods=["GET"])


def _add(app: Flask, method: str, path: str, view: Callable[..., Response]) -> None:
    app.add_url_rule(
        f"{BASE}{path}",
        f"admin {method} {path}",
        view,
        methods=[method],
        provide_automatic_options=False,
    )


def _static(digest: str, name: str) -> Response:
    return protect(static_file(digest, name) or error_page(404, "There is no such file."))


def _open(view: Callable[..., Response], services: Services) -> Callable[[], Response]:
    return lambda: protect(_answered(lambda: view(request, services)))


def _guarded_sign_out(services: Services) -> Callable[[], Response]:
    def serve() -> Response:
        if not is_from_here(request, services.settings):
            return error_page(403, AGAIN)
        return protect(_answered(lambda: signing_in.out(request, services)))

    return serve


def _guarded(route: Route, services: Services) -> Callable[..., Response]:
    def serve(**parts: Any) -> Response:
        return protect(_answered(lambda: _served(route, services, parts)))

    return serve


def _served(route: Route, services: Services, parts: dict[str, Any]) -> Response:
    call = _call(services)
    if call is None:
        asked = request.full_path.rstrip("?") if request.method == "GET" else None
        return see_other(at("sign-in", next=asked))
    g.notes["account"] = call.account.name
    if route.method == "POST" and not _is_meant(call):
        return error_page(403, AGAIN, call=call)
    try:
        with services.storage.read() as tx:
            scope = call.scope(tx, route.roles)
        if scope.is_nothing:
            return _nothing_here(call, route)
        return route.view(call, **parts)
    except Forbidden as error:
        return error_page(403, f"{error}.", call=call)
    except NotFound as error:
        return error_page(404, f"{error}.", call=call)
    except InvalidRequest as error:
        return error_page(422, f"{error}.", call=call)
    except (Conflict, Refused) as error:
        return error_page(409, f"{error}.", call=call)


def _call(services: Services) -> AdminCall | None:
    secret = session.secret_of(request)
    if secret is None:
        return None
    with services.storage.read() as tx:
        account = session.account_of(tx, secret)
    if account is None:
        return None
    return AdminCall(request=request, services=services, account=account, session=secret)


def _is_meant(call: AdminCall) -> bool:
    settings = call.services.settings
    token = call.fields.get("csrf")
    return is_from_here(call.request, settings) and fits(token, settings.secret_key, call.session)


def _nothing_here(call: AdminCall, route: Route) -> Response:
    """An account without any grant is told what an administrator must do."""
    if route.path == "/":
        return call.page("no_access.html", status=403)
    needed = " or ".join(sorted(route.roles))
    return error_page(403, f"This needs the role {needed} on some queue.", call=call)


def _answered(view: Callable[[], Response]) -> Response:
    try:
        return view()
    except InvalidRequest as error:
        return error_page(422, f"{error}.")
    except StorageUnavailable:
        return error_page(503, "The database can not be reached now. Please try again in a moment.")

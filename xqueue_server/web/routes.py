"""Which path is served by what, and what every request on the wire goes through first."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from xqueue_server.errors import InvalidRequest, StorageUnavailable, WrongKey
from xqueue_server.models.account import Account
from xqueue_server.monitoring import logs, metrics
from xqueue_server.monitoring.metrics import Submitted
from xqueue_server.web import handing_out, wire
from xqueue_server.web.admin.errors import http_error_page, internal_error_page
from xqueue_server.web.admin.paths import HOME as ADMIN_PREFIX
from xqueue_server.web.api.problem import internal_problem, is_of_api, problem_of_http
from xqueue_server.web.call import SESSION_COOKIE, Call
from xqueue_server.web.envelope import failure, page
from xqueue_server.web.forms import drain
from xqueue_server.web.patience import Patience
from xqueue_server.web.proctoring import rendering as exam_pages
from xqueue_server.web.proctoring.paths import is_of_pages
from xqueue_server.web.services import Services

log = logging.getLogger(__name__)

PREFIX = "/xqueue/"
ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UNAVAILABLE = "The queue is temporarily unavailable. Please try again."
EXTENSIONS = "wait, lease, renew, failure, grader, record, queues"

View = Callable[[Call], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    name: str
    view: View
    needs_login: bool = True
    is_csrf_exempt: bool = True
    """Where not, the reference refuses every method that is not safe."""


ENDPOINTS = (
    Endpoint(name="login", view=wire.login, needs_login=False),
    Endpoint(name="logout", view=wire.logout, needs_login=False),
    Endpoint(name="status", view=wire.status, needs_login=False, is_csrf_exempt=False),
    Endpoint(name="submit", view=wire.submit),
    Endpoint(name="get_queuelen", view=wire.get_queuelen, is_csrf_exempt=False),
    Endpoint(name="get_submission", view=handing_out.get_submission, is_csrf_exempt=False),
    Endpoint(name="put_result", view=wire.put_result),
    Endpoint(name="renew_lease", view=wire.renew_lease),
    Endpoint(name="put_failure", view=wire.put_failure),
)

ON_THE_WIRE = frozenset(endpoint.name for endpoint in ENDPOINTS)


def add_wire(app: Flask, services: Services) -> None:
    """Serve every endpoint, and the redirects from their names without the slash."""
    for endpoint in ENDPOINTS:
        path = f"{PREFIX}{endpoint.name}"
        app.add_url_rule(
            f"{path}/",
            endpoint.name,
            _guarded(endpoint, services),
            methods=ALL_METHODS,
            provide_automatic_options=False,
        )
        app.add_url_rule(
            path,
            f"{endpoint.name}_without_slash",
            _add_slash,
            methods=ALL_METHODS,
            provide_automatic_options=False,
        )
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_end)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _guarded(endpoint: Endpoint, services: Services) -> Callable[[], Response]:
    def serve() -> Response:
        if not endpoint.is_csrf_exempt and request.method not in SAFE_METHODS:
            return page("403 Forbidden: CSRF verification failed. Request aborted.", 403)
        patience = Patience()
        try:
            account = _account(services, patience) if endpoint.needs_login else None
            if endpoint.needs_login and account is None:
                return _to_login()
            call = Call(
                request=request,
                services=services,
                request_id=g.request_id,
                account=account,
                patience=patience,
                notes=g.notes,
            )
            return endpoint.view(call)
        except (InvalidRequest, WrongKey) as error:
            return failure(str(error))
        except StorageUnavailable:
            if endpoint.view is wire.submit:  # perhaps it was not even known who asks
                metrics.count_submission(g.notes.get("queue", ""), Submitted.UNAVAILABLE)
            return failure(UNAVAILABLE)

    return serve


def _account(services: Services, patience: Patience) -> Account | None:
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None

    def read(_is_retry: bool) -> Account | None:
        with services.storage.read() as tx:
            return services.sessions.account_of(tx, token)

    account = patience.with_database(read)
    if account is not None:
        g.notes["account"] = account.name
    return account


def _to_login() -> Response:
    query = request.query_string.decode("latin-1")
    asked = quote(request.path) + (f"?{query}" if query else "")
    return _redirect(f"{PREFIX}login/?next={quote_plus(asked, safe='/')}", 302)


def _add_slash() -> Response:
    """301 as Django answers; 308 would be new to the graders that follow redirects by hand."""
    query = request.query_string.decode("latin-1")
    return _redirect(quote(request.path) + "/" + (f"?{query}" if query else ""), 301)


def _redirect(location: str, status: int) -> Response:
    response = Response("", status, content_type="text/html; charset=utf-8")
    response.headers["Location"] = location
    return response


# -- around every request ------------------------------------------------------------------------


def _begin() -> None:
    g.request_id = secrets.token_hex(8)
    logs.request_id.set(g.request_id)
    g.notes = {}
    g.began = time.perf_counter()


def _finish(response: Response) -> Response:
    if request.method not in SAFE_METHODS:
        drain(request)
    if request.path.startswith(PREFIX):
        response.headers["XQueue-Extensions"] = EXTENSIONS
    response.headers["X-Request-ID"] = g.request_id
    route = str(request.url_rule or "(unknown)")  # a file's own path is a credential
    method = request.method if request.method in ALL_METHODS else "(other)"
    seconds = time.perf_counter() - g.began
    metrics.REQUESTS.labels(method, route, response.status_code).observe(seconds)
    log.info(
        "request",
        extra={
            "action": "request",
            "method": request.method,
            "path": route,
            "status": response.status_code,
            "ms": round(seconds * 1000, 1),
            **g.notes,
        },
    )
    return response


def _end(_error: BaseException | None) -> None:
    """The thread goes on to serve others, or to do what nobody has asked for."""
    logs.request_id.set(None)


def _http_error(error: HTTPException) -> Response:
    code = error.code or 500
    if code >= 500:
        return _unexpected(error)
    if is_of_api(request.path):
        return problem_of_http(error)
    if request.path.startswith(ADMIN_PREFIX):
        return http_error_page(error)
    if is_of_pages(request.path):
        return exam_pages.http_error_page(error)
    return page(f"{code} {error.name}", code)


def _unexpected(error: Exception) -> Response:
    """A fault of ours. Clients of the wire take any status but 200 for a dead server; elsewhere a
    200 would say "ready", or pass for the learner's file."""
    metrics.ERRORS.labels("web").inc()
    log.error("unexpected error", exc_info=error, extra={"action": "unexpected_error"})
    if is_of_api(request.path):
        return internal_problem()
    if request.path.startswith(ADMIN_PREFIX):
        return internal_error_page()
    if is_of_pages(request.path):
        return exam_pages.internal_error_page()
    message = f"Internal error; the server's log has it under request {g.request_id}"
    return failure(message) if request.endpoint in ON_THE_WIRE else page(message, 500)

"""Worker bundles and the endpoints that our own worker speaks to, under /proctoring/worker.

Bundles may be loaded by everybody, from any site. The endpoints answer pages of known origins only;
what they tell and take is said in `worker.ticket` and `worker.liveness`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from proctoring_hooks.statuses import Status
from proctoring_hooks.worker import ticket as tickets
from proctoring_hooks.worker.bundles import Bundle, Bundles
from proctoring_hooks.worker.for_lms import NODE_MODULES, webpack_stats, workers_json
from proctoring_hooks.worker.liveness import Liveness, Report, why_not_to_start
from proctoring_hooks.worker.ticket import BadTicket, Ticket

PREFIX = "/proctoring/worker"
PROTOCOL = 1
"""Of configuration and reports; workers that were built into an LMS long ago ask for it."""
MAX_BODY = 1024
FOR_EVER = "public, max-age=31536000, immutable"
NO_STORE = "no-store"
CONFIGURATION_S = tickets.LIFETIME_S // 4
"""How long browsers keep a configuration: far less than its ticket holds."""
PREFLIGHT_S = 600
_PACKAGE = re.compile(r"[\w.@/-]{0,100}")
_NODE_MODULES = re.compile(r"(?:/[\w.@-]{1,100}){1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHosting:
    """What the blueprint needs."""

    base_url: str
    """Public address of this server with `PREFIX`, without a slash at its end."""
    bundles: Bundles
    lms_of_origin: Callable[[str], str | None]
    """Name of the LMS whose pages (its own or its MFE's) have this origin; None: nobody's."""
    liveness: Liveness
    ticket_key: bytes = field(repr=False)
    now: Callable[[], datetime]
    """Aware."""


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def worker_assets(hosting: WorkerHosting) -> Blueprint:
    routes = Blueprint("proctoring_worker", __name__, url_prefix=PREFIX)

    def add(rule: str, view: Callable[..., Response], *methods: str) -> None:
        routes.add_url_rule(
            rule,
            endpoint=f"{view.__name__}{rule}".replace("/", "-").replace(".", "-"),
            view_func=view,
            methods=methods,
            provide_automatic_options=False,
        )

    def asset(file: str) -> Response:
        return _asset(hosting.bundles, file)

    def stats() -> Response:
        return _stats(hosting)

    def workers() -> Response:
        return _workers(request.args.get("node_modules", NODE_MODULES))

    def configuration() -> Response:
        return _to_a_page(hosting, lambda lms: _configuration(hosting, lms))

    def report() -> Response:
        what = Report(request.path.rpartition("/")[2])
        return _to_a_page(hosting, lambda lms: _report(hosting, lms, what))

    def preflight() -> Response:
        return _to_a_page(hosting, lambda _: _preflight())

    add("/webpack-worker-stats.json", stats, "GET")
    add("/workers.json", workers, "GET")
    add("/config", configuration, "GET")
    add("/config", preflight, "OPTIONS")
    for what in Report:
        add(f"/{what}", report, "POST")
        add(f"/{what}", preflight, "OPTIONS")
    add("/<path:file>", asset, "GET")
    return routes


# -- bundles -------------------------------------------------------------------------------------


def _asset(bundles: Bundles, file: str) -> Response:
    if bundle := bundles.hashed(file):
        return _script(bundle, FOR_EVER)
    if bundle := bundles.named(file):
        response = _script(bundle, "no-cache")
        response.make_conditional(request)
        return response
    return _secured(
        Response(
            "There is no such worker bundle. The current ones are in webpack-worker-stats.json.\n",
            status=HTTPStatus.NOT_FOUND,
            mimetype="text/plain",
            headers={"Cache-Control": NO_STORE},
        )
    )


def _script(bundle: Bundle, caching: str) -> Response:
    response = _secured(Response(bundle.content, mimetype="text/javascript"))
    response.headers["Cache-Control"] = caching
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.set_etag(bundle.file)
    return response


def _stats(hosting: WorkerHosting) -> Response:
    """`names=stable`: addresses without a hash. `ours_also=edx_proctoring`: see `webpack_stats`."""
    also = request.args.get("ours_also", "")
    if not _PACKAGE.fullmatch(also):
        return _bad_request("ours_also must be the name of a package")
    hashed = request.args.get("names") != "stable"
    return _json(webpack_stats(hosting.bundles, hosting.base_url, hashed=hashed, ours_also=also))


def _workers(node_modules: str) -> Response:
    if not _NODE_MODULES.fullmatch(node_modules):
        return _bad_request("node_modules must be an absolute path")
    return _json(workers_json(node_modules))


def _bad_request(message: str) -> Response:
    return _json({"code": "bad_request", "message": message}, status=HTTPStatus.BAD_REQUEST)


# -- pages ---------------------------------------------------------------------------------------


def _to_a_page(hosting: WorkerHosting, answer: Callable[[str], Response]) -> Response:
    """The answer, or why there is none, in a form that the page's script may read."""
    origin = request.headers.get("Origin", "")
    lms = hosting.lms_of_origin(origin) if origin else None
    if lms is None:
        return _json(
            {"code": "origin", "message": "This is for pages of known LMSes only"},
            status=HTTPStatus.FORBIDDEN,
        )
    try:
        response = answer(lms)
    except _Refused as refused:
        response = _json({"code": refused.code, "message": str(refused)}, status=refused.status)
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Vary"] = "Origin"
    return response


def _preflight() -> Response:
    response = _secured(Response(status=HTTPStatus.NO_CONTENT))
    response.headers["Access-Control-Allow-Methods"] = "GET, POST"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type"
    response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_S)
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        response.headers["Access-Control-Allow-Private-Network"] = "true"
    return response


def _configuration(hosting: WorkerHosting, lms: str) -> Response:
    attempt = request.args.get("attempt")
    if attempt is None:  # a page that does not say which
        return _json({"protocol": PROTOCOL})
    if not tickets.ATTEMPT_ID.fullmatch(attempt):
        raise _Refused(HTTPStatus.BAD_REQUEST, "bad_request", "That is no id of an attempt")
    if hosting.liveness.status(lms, attempt) is None:
        raise _unknown()
    ticket = tickets.issue(hosting.ticket_key, Ticket(lms=lms, attempt=attempt), now=hosting.now())
    response = _json(
        {"protocol": PROTOCOL, "ticket": ticket, "ticket_expires_in_s": tickets.LIFETIME_S}
    )
    response.headers["Cache-Control"] = f"private, max-age={CONFIGURATION_S}"
    return response


def _report(hosting: WorkerHosting, lms: str, what: Report) -> Response:
    ticket = _ticket_of_request(hosting)
    if ticket.lms != lms:
        raise _Refused(HTTPStatus.UNAUTHORIZED, "bad_ticket", "That ticket is another LMS's")
    status = hosting.liveness.heard(lms, ticket.attempt, what)
    if status is None:
        raise _unknown()
    if what is Report.START:
        _check_start(status)
    return _secured(Response(status=HTTPStatus.NO_CONTENT, headers={"Cache-Control": NO_STORE}))


def _check_start(status: Status) -> None:
    if why_not := why_not_to_start(status):
        raise _Refused(HTTPStatus.CONFLICT, "not_to_start", why_not)


def _ticket_of_request(hosting: WorkerHosting) -> Ticket:
    if request.mimetype != "application/json":
        raise _Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "bad_request", "The body must be application/json"
        )
    try:
        return tickets.read(hosting.ticket_key, _ticket_in(_body()), now=hosting.now())
    except BadTicket as error:
        raise _Refused(HTTPStatus.UNAUTHORIZED, "bad_ticket", str(error)) from None


def _body() -> bytes:
    request.max_content_length = MAX_BODY
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise _Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "bad_request", "The body is too large"
        ) from None


def _ticket_in(body: bytes) -> str:
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or set(given) != {"ticket"}:
        raise _Refused(HTTPStatus.BAD_REQUEST, "bad_request", 'The body must be {"ticket": "…"}')
    if not isinstance(given["ticket"], str):
        raise BadTicket("this is no ticket")
    return given["ticket"]


def _unknown() -> _Refused:
    return _Refused(HTTPStatus.NOT_FOUND, "unknown_attempt", "This attempt is not known here")


def _json(document: dict[str, Any], *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return _secured(
        Response(
            json.dumps(document),
            status=status,
            mimetype="application/json",
            headers={"Cache-Control": NO_STORE},
        )
    )


def _secured(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response

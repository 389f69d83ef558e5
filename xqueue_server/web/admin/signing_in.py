"""Signing in with a password or at the identity provider, and signing out."""

from __future__ import annotations

from typing import Any

from flask import Request, Response
from itsdangerous import BadData, URLSafeTimedSerializer

from xqueue_server.accounts import people
from xqueue_server.accounts.client_address import client_address
from xqueue_server.errors import NotSignedIn
from xqueue_server.identity_providers import Departure, ProviderUnavailable
from xqueue_server.models.account import Account
from xqueue_server.secret_key import key_for
from xqueue_server.settings import Settings
from xqueue_server.web.admin import session
from xqueue_server.web.admin.call import see_other
from xqueue_server.web.admin.paths import BASE, at, own_path
from xqueue_server.web.admin.rendering import render
from xqueue_server.web.admin.security import is_from_here, is_https
from xqueue_server.web.forms import SHORT_FORM, read_form
from xqueue_server.web.services import Services

DEPARTURE_COOKIE = "xqueue_admin_departure"
DEPARTURE_PATH = f"{BASE}/sign-in"
AWAY_S = 600
CALLBACK = f"{BASE}/sign-in/callback"
INCOMPLETE = "Give a name and a password."
STALE = "The sign-in took too long, or began in another browser. Please try again."


def show(request: Request, services: Services) -> Response:
    return _form(services, next_=own_path(request.args.get("next")))


def with_password(request: Request, services: Services) -> Response:
    fields = read_form(request, SHORT_FORM).fields
    to = own_path(fields.get("next"))
    name, password = fields.get("name", "").strip(), fields.get("password", "")
    if not is_from_here(request, services.settings):
        return _form(services, next_=to, problem="Please sign in on this page.", status=403)
    if not name or not password:
        return _form(services, next_=to, name=name, problem=INCOMPLETE, status=422)
    try:
        account = services.sign_in.verify(name, password, _address(request, services))
    except NotSignedIn as error:
        return _form(services, next_=to, name=name, problem=f"{error}.", status=401)
    return _signed_in(request, services, account, to)


def out(request: Request, services: Services) -> Response:
    secret = session.secret_of(request)
    if secret:
        session.end(services.storage, secret)
    response = see_other(at("sign-in", out=1))
    session.drop_cookie(response)
    return response


# -- elsewhere -----------------------------------------------------------------------------------


def depart(request: Request, services: Services) -> Response:
    """Off to the provider; what must come back with the person waits in a signed cookie."""
    to = own_path(request.args.get("next"))
    provider = services.identity_provider
    if provider is None:
        return see_other(at("sign-in"))
    try:
        departure = provider.depart(_redirect_uri(services.settings))
    except ProviderUnavailable as error:
        return _form(services, next_=to, problem=_unavailable(error), status=502)
    response = see_other(departure.url)
    response.set_cookie(
        DEPARTURE_COOKIE,
        _serializer(services.settings).dumps(
            [departure.state, departure.nonce, departure.verifier, to]
        ),
        max_age=AWAY_S,
        path=DEPARTURE_PATH,
        httponly=True,
        samesite="Lax",
        secure=is_https(request, services.settings),
    )
    return response


def arrive(request: Request, services: Services) -> Response:
    response = _arrived(request, services)
    response.delete_cookie(DEPARTURE_COOKIE, path=DEPARTURE_PATH, httponly=True, samesite="Lax")
    return response


def _arrived(request: Request, services: Services) -> Response:
    provider, arguments = services.identity_provider, request.args
    left = _left(request, services.settings)
    if provider is None or left is None or arguments.get("state") != left[0].state:
        return _form(services, problem=STALE, status=400)
    departure, to = left
    if "error" in arguments:
        said = arguments.get("error_description") or arguments["error"]
        problem = f"{provider.name} did not sign you in: {said[:200]}"
        return _form(services, next_=to, problem=problem, status=403)
    try:
        person = provider.arrive(
            departure, arguments.get("code", ""), _redirect_uri(services.settings)
        )
        account = people.account_for(services.storage, person, services.settings.administrators)
    except NotSignedIn as error:
        return _form(services, next_=to, problem=f"{error}.", status=403)
    except ProviderUnavailable as error:
        return _form(services, next_=to, problem=_unavailable(error), status=502)
    return _signed_in(request, services, account, to)


def _left(request: Request, settings: Settings) -> tuple[Departure, str] | None:
    cookie = request.cookies.get(DEPARTURE_COOKIE, "")
    try:
        state, nonce, verifier, to = _serializer(settings).loads(cookie, max_age=AWAY_S)
    except (BadData, TypeError, ValueError):
        return None
    return Departure(url="", state=state, nonce=nonce, verifier=verifier), own_path(to)


def _redirect_uri(settings: Settings) -> str:
    return settings.admin_url + CALLBACK


def _serializer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key_for("admin departure", settings.secret_key))


def _unavailable(error: ProviderUnavailable) -> str:
    return f"The sign-in service can not be used now. {error}."


# -- the page ------------------------------------------------------------------------------------


def _signed_in(request: Request, services: Services, account: Account, to: str) -> Response:
    old = session.secret_of(request)
    if old:
        session.end(services.storage, old)
    response = see_other(to)
    secret = session.begin(services.storage, account)
    session.set_cookie(response, request, services.settings, secret)
    return response


def _form(services: Services, *, status: int = 200, **context: Any) -> Response:
    given = {"problem": None, "name": "", "next_": own_path(None)} | context
    provider = services.identity_provider
    body = render("sign_in.html", provider=provider.name if provider else None, **given)
    return Response(body, status, content_type="text/html; charset=utf-8")


def _address(request: Request, services: Services) -> str:
    return client_address(
        request.remote_addr,
        request.headers.get("X-Forwarded-For"),
        services.settings.trusted_proxies,
    )

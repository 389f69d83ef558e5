"""People who sign in at an OpenID Connect issuer, or at the LMS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.admin.issuer import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeIssuer,
    FakeLms,
    signed_by_a_stranger,
    signed_with_another_kind_of_key,
    signed_with_secret,
    unsigned,
)
from tests.admin.visitor import Page, Visitor
from tests.server.builders import Desk, add_account
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.models.account import ALL_QUEUES, Grant, Role
from xqueue_server.storage import accounts, identities
from xqueue_server.web.admin import session

Made = Callable[..., Visitor]


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer() as running:
        yield running


@pytest.fixture
def lms() -> Iterator[FakeLms]:
    with FakeLms() as running:
        yield running


@pytest.fixture
def made(environment: dict[str, str], desk: Desk) -> Made:
    """A visitor of a server with these settings."""

    def make(**names: str) -> Visitor:
        given = {"XQUEUE_ADMIN_URL": "http://localhost"} | names
        return Visitor(create_app(settings.load(environment | given), desk.storage))

    return make


def at_issuer(issuer: FakeIssuer, **more: str) -> dict[str, str]:
    return {
        "XQUEUE_OIDC_ISSUER": issuer.url,
        "XQUEUE_OIDC_CLIENT_ID": CLIENT_ID,
        "XQUEUE_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "XQUEUE_OIDC_NAME": "the university",
    } | more


def at_lms(lms: FakeLms, **more: str) -> dict[str, str]:
    return {
        "XQUEUE_LMS_OAUTH_URL": lms.url,
        "XQUEUE_LMS_OAUTH_CLIENT_ID": CLIENT_ID,
        "XQUEUE_LMS_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
    } | more


def go(visitor: Visitor, next_: str = "/admin/") -> Page:
    """To the provider and back again, as a browser is sent."""
    return Page(visitor.client.get(way_back(visitor, next_), follow_redirects=True))


def way_back(visitor: Visitor, next_: str = "/admin/") -> str:
    """The path on which the provider sends the browser back."""
    leaving = visitor.raw("GET", "/admin/sign-in/away", query_string={"next": next_})
    assert leaving.status_code == 303, leaving.get_data(as_text=True)
    answer = requests.get(leaving.headers["Location"], allow_redirects=False, timeout=60)
    back = urlsplit(answer.headers["Location"])
    assert back.netloc == "localhost"
    return f"{back.path}?{back.query}"


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.client.get_cookie(session.COOKIE, path="/admin") is not None


def test_a_first_sign_in_makes_an_account_that_may_do_nothing(
    made: Made, issuer: FakeIssuer, desk: Desk
) -> None:
    page = go(made(**at_issuer(issuer)))

    assert page.status == 403
    assert "xqueue-server account grant olga" in page.text
    with desk.storage.read() as tx:
        account = accounts.get(tx, "olga")
        (identity,) = identities.of_account(tx, account.id)
    assert account.grants == ()
    assert (identity.issuer, identity.subject) == (issuer.url, "subject-7")


def test_the_next_sign_in_finds_the_same_account_whatever_the_name(
    made: Made, issuer: FakeIssuer, desk: Desk
) -> None:
    visitor = made(**at_issuer(issuer))
    go(visitor)
    with desk.storage.write() as tx:
        given = [Grant(role=Role.VIEWER, queue=ALL_QUEUES)]
        accounts.grant(tx, "olga", given, actor="test")
    issuer.claims |= {"preferred_username": "olga-married", "email": "new@example.org"}

    page = go(visitor, "/admin/queues")

    assert "<h1>Queues</h1>" in page.text
    assert "olga" in page.text
    with desk.storage.read() as tx:
        assert accounts.by_name(tx, "olga-married") is None


def test_a_local_account_of_the_same_name_is_not_taken_over(
    made: Made, issuer: FakeIssuer, desk: Desk
) -> None:
    add_account(desk.storage, "olga", Role.ADMIN)

    page = go(made(**at_issuer(issuer)))

    assert page.status == 403
    assert "olga-2" in page.text


@pytest.mark.parametrize("listed", ["subject-7", "OLGA@example.org", "x, olga@example.org"])
def test_the_settings_name_administrators(made: Made, issuer: FakeIssuer, listed: str) -> None:
    page = go(made(**at_issuer(issuer, XQUEUE_ADMIN_SUBJECTS=listed)), "/admin/accounts")

    assert "<h1>Accounts</h1>" in page.text


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": None},
        {"email": ["olga@example.org"]},
        {"sub": "olga@example.org", "email": "x@example.org"},
        {"preferred_username": "olga@example.org", "email": "x@example.org"},
    ],
)
def test_an_email_that_nobody_has_verified_makes_no_administrator(
    made: Made, issuer: FakeIssuer, claims: dict[str, Any]
) -> None:
    issuer.claims |= claims

    page = go(made(**at_issuer(issuer, XQUEUE_ADMIN_SUBJECTS="olga@example.org")))

    assert page.status == 403
    assert "No access yet" in page.text


def from_now(seconds: int) -> int:
    """Of the moment when a token is made, long after this module was imported."""
    return int(time.time()) + seconds


BENT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another nonce": lambda claims: claims | {"nonce": "of another sign-in"},
    "no nonce": lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
    "another audience": lambda claims: claims | {"aud": "another client"},
    "no audience": lambda claims: {k: v for k, v in claims.items() if k != "aud"},
    "several audiences": lambda claims: claims | {"aud": [CLIENT_ID, "another client"]},
    "authorized for another": lambda claims: claims | {"azp": "another client"},
    "another issuer": lambda claims: claims | {"iss": "https://evil.example.org"},
    "expired": lambda claims: claims | {"iat": from_now(-900), "exp": from_now(-600)},
    "never expires": lambda claims: {k: v for k, v in claims.items() if k != "exp"},
    "no subject": lambda claims: {k: v for k, v in claims.items() if k != "sub"},
    "made in the future": lambda claims: claims | {"iat": from_now(3600), "exp": from_now(7200)},
}


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT)
def test_an_id_token_that_does_not_stand_signs_nobody_in(
    made: Made, issuer: FakeIssuer, bend: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    issuer.bend = bend
    visitor = made(**at_issuer(issuer))

    page = go(visitor)

    assert page.status == 403
    assert not is_signed_in(visitor)


@pytest.mark.parametrize(
    "sign", [unsigned, signed_by_a_stranger, signed_with_another_kind_of_key, lambda _: "no.jwt"]
)
def test_an_id_token_that_the_issuer_did_not_sign_signs_nobody_in(
    made: Made, issuer: FakeIssuer, sign: Callable[[dict[str, Any]], str]
) -> None:
    issuer.sign = sign
    visitor = made(**at_issuer(issuer))

    page = go(visitor)

    assert page.status == 403
    assert "ID token does not stand" in page.text
    assert not is_signed_in(visitor)


def test_a_public_key_is_no_secret_to_sign_with(made: Made, issuer: FakeIssuer) -> None:
    """The old confusion of algorithms: HS256 with the issuer's public key as the secret."""
    issuer.sign = lambda claims: signed_with_secret(claims, issuer.key.as_pem(private=False))
    visitor = made(**at_issuer(issuer))

    assert go(visitor).status == 403
    assert not is_signed_in(visitor)


def test_a_new_key_of_the_issuer_is_fetched(made: Made, issuer: FakeIssuer) -> None:
    visitor = made(**at_issuer(issuer))
    go(visitor)
    issuer.key = RSAKey.generate_key(2048, {"kid": "k2"})
    issuer.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": "k2"}, claims, issuer.key)
    visitor.client.delete_cookie(session.COOKIE, path="/admin")

    go(visitor)

    assert is_signed_in(visitor)


def test_another_state_is_refused(made: Made, issuer: FakeIssuer) -> None:
    visitor = made(**at_issuer(issuer))
    back = way_back(visitor)
    bent = back.replace("state=", "state=x")

    page = visitor.see(bent)

    assert page.status == 400
    assert not is_signed_in(visitor)


def test_somebody_elses_way_back_is_refused(made: Made, issuer: FakeIssuer) -> None:
    """Mallory hands her own code to a victim, who would then act in her account."""
    mallory, victim = made(**at_issuer(issuer)), made(**at_issuer(issuer))

    page = victim.see(way_back(mallory))

    assert page.status == 400
    assert not is_signed_in(victim)


def test_the_way_back_works_once(made: Made, issuer: FakeIssuer) -> None:
    visitor = made(**at_issuer(issuer))
    back = way_back(visitor)
    visitor.see(back)
    visitor.client.delete_cookie(session.COOKIE, path="/admin")

    assert visitor.see(back).status == 400
    assert not is_signed_in(visitor)


@pytest.mark.parametrize("next_", ["https://evil.example.org/", "//evil.example.org", "/xqueue/"])
def test_signing_in_elsewhere_leads_nowhere_else(
    made: Made, issuer: FakeIssuer, next_: str
) -> None:
    visitor = made(**at_issuer(issuer))

    response = visitor.raw("GET", way_back(visitor, next_))

    assert response.headers["Location"] == "/admin/"


def test_the_provider_is_asked_with_pkce_state_and_nonce(made: Made, issuer: FakeIssuer) -> None:
    visitor = made(**at_issuer(issuer))

    leaving = visitor.raw("GET", "/admin/sign-in/away")

    query = parse_qs(urlsplit(leaving.headers["Location"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["http://localhost/admin/sign-in/callback"]
    assert query["response_type"] == ["code"]
    assert query["scope"] == ["openid profile email"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(query[name][0]) >= 16
    assert CLIENT_SECRET not in leaving.headers["Location"]


def test_what_the_provider_refuses_is_told(made: Made, issuer: FakeIssuer) -> None:
    visitor = made(**at_issuer(issuer))
    state = parse_qs(urlsplit(way_back(visitor)).query)["state"][0]

    page = visitor.see(
        "/admin/sign-in/callback", state=state, error="access_denied", error_description="<b>No</b>"
    )

    assert page.status == 403
    assert "the university did not sign you in: &lt;b&gt;No&lt;/b&gt;" in page.text


def test_a_wrong_client_secret_is_told(made: Made, issuer: FakeIssuer) -> None:
    page = go(made(**at_issuer(issuer, XQUEUE_OIDC_CLIENT_SECRET="another one")))

    assert page.status == 403
    assert "invalid_client" in page.text


def test_an_issuer_that_is_away_leaves_local_accounts(
    made: Made, issuer: FakeIssuer, desk: Desk
) -> None:
    issuer.is_down = True
    add_account(desk.storage, "local", Role.VIEWER)
    visitor = made(**at_issuer(issuer))

    page = visitor.see("/admin/sign-in/away")

    assert page.status == 502
    assert "can not be used now" in page.text
    assert "<h1>Overview</h1>" in visitor.sign_in("local").text


def test_an_issuer_that_calls_itself_otherwise_is_not_trusted(
    made: Made, issuer: FakeIssuer
) -> None:
    issuer.said_issuer = "https://evil.example.org"

    assert made(**at_issuer(issuer)).see("/admin/sign-in/away").status == 502


def test_a_disabled_account_stays_out(made: Made, issuer: FakeIssuer, desk: Desk) -> None:
    visitor = made(**at_issuer(issuer))
    go(visitor)
    visitor.client.delete_cookie(session.COOKIE, path="/admin")
    with desk.storage.write() as tx:
        accounts.set_active(tx, "olga", False, actor="test")

    page = go(visitor)

    assert "Your account here is disabled" in page.text
    assert not is_signed_in(visitor)


def test_nobody_knows_the_password_of_such_an_account(made: Made, issuer: FakeIssuer) -> None:
    go(made(**at_issuer(issuer)))
    visitor = made(**at_issuer(issuer))
    for password in ("", "!", "olga", "subject-7"):
        visitor.post("/admin/sign-in", name="olga", password=password)
    assert not is_signed_in(visitor)


def test_the_sign_in_page_offers_the_provider_only_where_there_is_one(
    made: Made, issuer: FakeIssuer
) -> None:
    assert "Sign in with the university" in made(**at_issuer(issuer)).see("/admin/sign-in").text
    assert "/admin/sign-in/away" not in made().see("/admin/sign-in").text


# -- the LMS -------------------------------------------------------------------------------------


def test_people_sign_in_at_the_lms(made: Made, lms: FakeLms, desk: Desk) -> None:
    page = go(made(**at_lms(lms, XQUEUE_ADMIN_SUBJECTS="olga")), "/admin/accounts")

    assert "<h1>Accounts</h1>" in page.text
    with desk.storage.read() as tx:
        account = accounts.get(tx, "olga")
        (identity,) = identities.of_account(tx, account.id)
    assert (identity.issuer, identity.subject) == (lms.url, "olga")


@pytest.mark.parametrize(
    "bend",
    [
        lambda claims: claims | {"exp": from_now(-600)},
        lambda claims: {k: v for k, v in claims.items() if k != "exp"},
        lambda claims: {k: v for k, v in claims.items() if k != "preferred_username"},
        lambda claims: claims | {"preferred_username": ""},
        lambda claims: claims | {"preferred_username": 7},
    ],
)
def test_a_token_of_the_lms_that_says_too_little_signs_nobody_in(
    made: Made, lms: FakeLms, bend: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    lms.bend = bend
    visitor = made(**at_lms(lms))

    assert go(visitor).status == 403
    assert not is_signed_in(visitor)


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "", "a.W10.c"])
def test_what_is_no_jwt_of_the_lms_signs_nobody_in(made: Made, lms: FakeLms, token: str) -> None:
    lms.sign = lambda _: token
    visitor = made(**at_lms(lms))

    assert go(visitor).status == 403
    assert not is_signed_in(visitor)

"""Identity providers on loopback: an OpenID Connect issuer and an LMS, over real HTTP, with real
signatures. What they send can be bent, token by token."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "xqueue", "a secret of the client"
CODE = "the-code"
NO_ALGORITHM, HS256 = b'{"alg":"none"}', b'{"alg":"HS256","kid":"k1"}'
Bend = Callable[[dict[str, Any]], dict[str, Any]]


def as_it_is(claims: dict[str, Any]) -> dict[str, Any]:
    return claims


@functools.cache
def _first_key() -> RSAKey:
    """Making one takes long."""
    return RSAKey.generate_key(2048, {"kid": "k1"})


class FakeIssuer:
    """Asks nobody for a password: whoever comes is `claims`."""

    def __init__(self) -> None:
        self.key = _first_key()
        self.claims: dict[str, Any] = {
            "sub": "subject-7",
            "preferred_username": "olga",
            "email": "olga@example.org",
            "email_verified": True,
        }
        self.bend: Bend = as_it_is
        self.sign: Callable[[dict[str, Any]], str] = self._signed
        self.said_issuer: str | None = None
        self.asked: dict[str, str] = {}
        """The parameters of the latest authorization request."""
        self.is_down = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    # -- what it answers -------------------------------------------------------------------------

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.said_issuer or self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        self.asked = query
        return f"{query['redirect_uri']}?{urlencode({'code': CODE, 'state': query['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Refuses what is not the client, the code, and the browser that asked (PKCE)."""
        pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        is_client = authorization == f"Basic {pair}" or (
            (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        )
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_browser = self.asked.get("code_challenge_method") == "S256"
        is_browser = is_browser and challenge == self.asked.get("code_challenge")
        if not is_client:
            return 401, {"error": "invalid_client"}
        if not is_browser or form.get("code") != CODE:
            return 400, {"error": "invalid_grant"}
        return 200, self.answer(form)

    def answer(self, form: dict[str, str]) -> dict[str, Any]:
        now = int(time.time())
        claims = self.claims | {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": self.asked.get("nonce"),
        }
        return {
            "access_token": "opaque",
            "token_type": "Bearer",
            "id_token": self.sign(self.bend(claims)),
        }

    def _signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key)

    # -- HTTP ------------------------------------------------------------------------------------

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                if issuer.is_down:
                    self._send(503, b"down")
                elif parts.path.endswith("/authorize"):
                    self.send_response(302)
                    self.send_header("Location", issuer.authorize(query))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif parts.path == "/.well-known/openid-configuration":
                    self._json(200, issuer.discovery())
                elif parts.path == "/keys":
                    self._json(200, {"keys": [issuer.key.as_dict(private=False)]})
                else:
                    self._send(404, b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[-1] for name, values in parse_qs(body).items()}
                self._json(*issuer.token(form, self.headers.get("Authorization", "")))

            def _json(self, status: int, document: dict[str, Any]) -> None:
                self._send(status, json.dumps(document).encode(), "application/json")

            def _send(self, status: int, body: bytes, kind: str = "text/plain") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


class FakeLms(FakeIssuer):
    """The paths and the answer of an LMS: no ID token, the access token is a JWT if asked for."""

    def answer(self, form: dict[str, str]) -> dict[str, Any]:
        if form.get("token_type") != "jwt":
            return {"access_token": "opaque", "token_type": "Bearer"}
        claims = {key: value for key, value in self.claims.items() if key != "sub"}
        claims |= {"iss": f"{self.url}/oauth2", "aud": "openedx", "exp": int(time.time()) + 300}
        return {"access_token": self.sign(self.bend(claims)), "token_type": "JWT"}


def unsigned(claims: dict[str, Any]) -> str:
    """With the algorithm none."""
    return f"{_base64(NO_ALGORITHM)}.{_base64(json.dumps(claims).encode())}."


def signed_with_secret(claims: dict[str, Any], secret: bytes) -> str:
    """By hand: the library refuses to do it with a public key."""
    signed = f"{_base64(HS256)}.{_base64(json.dumps(claims).encode())}"
    return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed_by_a_stranger(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, RSAKey.generate_key(2048))


def signed_with_another_kind_of_key(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, ECKey.generate_key("P-256"))

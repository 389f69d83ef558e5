"""What `proctoring check` asks over the network: an LMS, the providers of its exams, our own worker
bundles. Each finding says what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proctoring_hooks.lms import Lms
from proctoring_hooks.providers import plugins
from proctoring_hooks.providers.base import BadSettings, Credentials, Entry
from proctoring_hooks.web.exam_service_store import NotTold
from proctoring_hooks.web.worker_assets import PREFIX
from proctoring_hooks.worker.check import Level, check_worker
from xqueue_server.cli.checks_network import reach
from xqueue_server.cli.finding import Finding, Verdict, fail, ok
from xqueue_server.errors import SettingsError
from xqueue_server.settings import Settings, origin_of
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.transport.access import read_access
from xqueue_server.transport.authorized import Authorized
from xqueue_server.transport.http import HttpTransport
from xqueue_server.transport.kept_exams import ask, read
from xqueue_server.transport.tokens import Token, Tokens

TOKEN_S = 20.0
ANYBODY = "1"
CONFIG = "/api/v1/config/"
UNREACHABLE = "check its address, port and the firewalls between, then its client id and secret"


def providers_of(session: ProctoringSession, lms: str) -> Sequence[Entry]:
    """Of its active exams and of its courses, by name."""
    names = session.recipients.providers_in_use(lms)
    return [each for each in session.recipients.providers() if each.name in names]


def check_all(
    settings: Settings, http: HttpTransport, lms: Lms, providers: Sequence[Entry]
) -> Iterator[Finding]:
    tokens = Tokens(http)
    yield check_token(tokens, lms)
    if lms.forwards_exams:
        yield check_forwarding(Authorized(http, tokens), lms)
    yield from check_callbacks(settings, lms)
    for provider in providers:
        yield check_provider(Authorized(http, tokens), provider)
    yield from check_bundles(settings)


def check_token(tokens: Tokens, lms: Lms) -> Finding:
    token = tokens.get(
        Credentials(
            token_url=f"{lms.base_url}/oauth2/access_token",
            client_id=lms.our_client_id,
            client_secret=lms.our_client_secret,
        ),
        within_s=TOKEN_S,
    )
    if isinstance(token, Token):
        return ok(lms.name, f"knows us as {lms.our_client_id}")
    return fail(
        f"{lms.name} at {lms.base_url}",
        token.error or f"answered {token.status}",
        f"check the address, and in its OAuth2 applications the client {lms.our_client_id} "
        "(client credentials, confidential) and its secret: `xqueue-server lms rotate`",
    )


def check_forwarding(authorized: Authorized, lms: Lms) -> Finding:
    """Asked as pages are answered: of a user, which only staff may. Which one does not matter."""
    outcome = ask(
        authorized, lms, "GET", "/proctored_exam/active_attempt", query={"user_id": ANYBODY}
    )
    try:
        read(lms, outcome, (200,))
    except NotTold as error:
        return fail(f"exams that {lms.name} keeps", error.why, error.to_do)
    return ok(f"exams that {lms.name} keeps", "it tells us of them")


def check_callbacks(settings: Settings, lms: Lms) -> Iterator[Finding]:
    """Where grades go: allowed, and to be connected to, as `deliver` would."""
    try:
        access = read_access(settings.lms_access_file, allows_origin=settings.allows_origin)
    except SettingsError as error:
        yield fail("XQUEUE_LMS_ACCESS_FILE", str(error), "mend it")
        access = {}
    for origin in lms.origins:
        if not settings.allows_origin(origin):
            yield fail(origin, "no grade may go there", "add it to XQUEUE_LMS_ORIGINS")
            continue
        found = reach(origin, access)
        is_well = found.verdict is Verdict.OK
        yield found if is_well else fail(origin, found.found, found.to_do or UNREACHABLE)


def check_provider(authorized: Authorized, entry: Entry) -> Finding:
    what = f"provider {entry.name}"
    try:
        provider = plugins.load(entry)
    except BadSettings as error:
        return fail(what, str(error), "enter it anew: `xqueue-server provider add`")
    credentials = getattr(provider, "credentials", None)
    base_url = str(entry.settings.get("base_url") or "").rstrip("/")
    origin = origin_of(base_url)
    if not isinstance(credentials, Credentials) or origin is None:
        return ok(what, f"its settings can be used; the plug-in {entry.plugin} has no more to ask")
    outcome = authorized.send(
        "GET", origin=origin, url=base_url + CONFIG, body=None, headers={}, client=credentials
    )
    if outcome.status is not None and 200 <= outcome.status < 300:
        return ok(what, f"knows us as {credentials.client_id}, and answers at {base_url}{CONFIG}")
    said = outcome.error or f"answered {outcome.status} at {base_url}{CONFIG}"
    return fail(what, said, UNREACHABLE)


def check_bundles(settings: Settings) -> Iterator[Finding]:
    place = f"{settings.public_url}{PREFIX}/webpack-worker-stats.json"
    errors = [each for each in check_worker(place) if each.level is Level.ERROR]
    for each in errors:
        yield fail(
            each.where,
            each.text,
            f"is `serve` running, does XQUEUE_PUBLIC_URL name it, and does a proxy pass {PREFIX} "
            "on to it?",
        )
    if not errors:
        yield ok(place, "worker bundles are served as pages need them")

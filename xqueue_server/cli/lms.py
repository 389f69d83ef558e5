"""`xqueue-server lms`: the LMSes whose exams we know, and the secrets that we share with them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from proctoring_hooks.lms import Lms
from xqueue_server import settings
from xqueue_server.cli.environment import actor
from xqueue_server.cli.exam_store import exam_store
from xqueue_server.cli.output import json_option, show_facts, show_json, show_table
from xqueue_server.cli.secret_files import read_secrets, secret_option
from xqueue_server.errors import Conflict, InvalidRequest, NotFound
from xqueue_server.settings import Settings, origin_of
from xqueue_server.storage import events
from xqueue_server.storage.proctoring.lmses import SECRETS
from xqueue_server.storage.proctoring.session import ProctoringSession

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LONGEST = {"client_id": 128, "our_client_id": 128, "backend": 64, "jwt_issuer": 300}
KEYS_BYTES = 64 * 1024
LEAST_SECRET_CHARS = 32
TOO_SHORT = """\
--{option}-file: a secret has at least {least} characters: whoever holds something that is signed
with it can try all short ones. Make one with
python3 -c 'import secrets; print(secrets.token_hex(32))'"""


@click.group()
def lms() -> None:
    """Enter, change and look at the LMSes whose exams are proctored here.

    Secrets are read from files or standard input, kept encrypted, and shown to nobody.
    """


def _terms(command: Any) -> Any:
    for option in (
        click.option(
            "--events/--no-events",
            "sends_events",
            default=None,
            help="Tell it of attempts on the event bus. [default: no]",
        ),
        click.option(
            "--worker/--no-worker",
            "loads_worker",
            default=None,
            help="Its exam pages load our script, where no provider watches. [default: no]",
        ),
        click.option(
            "--forward/--no-forward",
            "forwards_exams",
            default=None,
            help="Ask it about courses that are unknown here: it keeps exams, too. [default: no]",
        ),
        click.option(
            "--jwt-keys",
            "jwt_keys_path",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="JSON Web Key Set (public keys) of the tokens that its learners bring.",
        ),
        click.option("--jwt-issuer", help="Issuer of those tokens."),
        click.option(
            "--our-client-id", help="By which we sign in there. [default: the --client-id]"
        ),
        click.option("--backend", help="Our entry in its PROCTORING_BACKENDS. [default: xqueue]"),
        click.option(
            "--origin",
            "origins",
            multiple=True,
            help="Of its callback URLs; repeatable. [default: that of --url]",
        ),
        click.option(
            "--page-origin",
            "page_origins",
            multiple=True,
            help="Where its micro-frontends are, beside --url; repeatable. [default: nowhere]",
        ),
    ):
        command = option(command)
    return command


@lms.command()
@click.argument("name")
@click.option("--url", "base_url", required=True, help="Its address, like https://lms.example.org.")
@click.option("--client-id", required=True, help="By which it signs in here.")
@_terms
@secret_option("client-secret", "the secret that it signs in here with", required=True)
@secret_option("our-client-secret", "the secret that we sign in there with", required=True)
@secret_option("obfuscation-key", "its PROCTORING_USER_OBFUSCATION_KEY")
@secret_option("studio-secret", "its JWT_SECRET_KEY, with which Studio publishes exams")
def add(
    name: str,
    base_url: str,
    client_id: str,
    client_secret_file: Path,
    our_client_secret_file: Path,
    obfuscation_key_file: Path | None,
    studio_secret_file: Path | None,
    **given: Any,
) -> None:
    """Enter the LMS NAME."""
    if not NAME.fullmatch(name):
        raise click.BadParameter("NAME has up to 64 small letters, digits and . _ -")
    loaded = settings.load()
    secrets = read_secrets(
        client_secret=client_secret_file,
        our_client_secret=our_client_secret_file,
        obfuscation_key=obfuscation_key_file,
        studio_secret=studio_secret_file,
    )
    _refuse_short(secrets)
    made = _checked(
        Lms(
            name=name,
            base_url=base_url.rstrip("/"),
            origins=given["origins"] or (origin_of(base_url) or "",),
            page_origins=given["page_origins"],
            backend=given["backend"] or "xqueue",
            client_id=client_id,
            our_client_id=given["our_client_id"] or client_id,
            jwt_issuer=given["jwt_issuer"] or "",
            jwt_keys=_read_keys(given["jwt_keys_path"]),
            sends_events=bool(given["sends_events"]),
            loads_worker=bool(given["loads_worker"]),
            forwards_exams=bool(given["forwards_exams"]),
            **({"obfuscation_key": ""} | secrets),
        )
    )
    with exam_store(loaded) as store, store.write() as session:
        if any(each.name == name for each in session.lmses.all()):
            raise Conflict(f"LMS {name} exists already")
        _refuse_taken(session, made)
        session.lmses.add(made)
        _record(session, name, "added", f"url={made.base_url}, client_id={client_id}")
    click.echo(f"Entered LMS {name}")
    _warn(loaded, made)


@lms.command("set")
@click.argument("name")
@click.option("--url", "base_url", help="Its address.")
@click.option("--client-id", help="By which it signs in here.")
@_terms
def set_terms(name: str, jwt_keys_path: Path | None, **given: Any) -> None:
    """Change what is given of the LMS NAME; secrets are changed with `rotate`."""
    loaded = settings.load()
    changes = {key: value for key, value in given.items() if value not in (None, ())}
    if "base_url" in changes:
        changes["base_url"] = changes["base_url"].rstrip("/")
    if jwt_keys_path is not None:
        changes["jwt_keys"] = _read_keys(jwt_keys_path)
    if not changes:
        raise click.UsageError("Say what to change.")
    with exam_store(loaded) as store, store.write() as session:
        changed = _checked(dataclasses.replace(session.lms(name), **changes))
        _refuse_taken(session, changed)
        session.lmses.replace(changed)
        _record(session, name, "changed", ", ".join(sorted(changes)))
    click.echo(f"Changed LMS {name}")
    _warn(loaded, changed)


@lms.command("list")
@json_option
def list_lmses(as_json: bool) -> None:
    """List the LMSes that are entered."""
    with exam_store() as store, store.read() as session:
        found = session.lmses.all()
    if as_json:
        show_json([_as_object(each) for each in found])
        return
    show_table(
        ["NAME", "URL", "CLIENT ID", "EVENTS"],
        [(each.name, each.base_url, each.client_id, each.sends_events) for each in found],
    )


@lms.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the LMS NAME; of its secrets only whether there are any."""
    with exam_store() as store, store.read() as session:
        found = _as_object(session.lms(name))
    if as_json:
        show_json(found)
    else:
        show_facts([(key.replace("_", " "), _shown(value)) for key, value in found.items()])


@lms.command()
@click.argument("name")
@secret_option("client-secret", "the new secret that it signs in here with")
@secret_option("our-client-secret", "the new secret that we sign in there with")
@secret_option("obfuscation-key", "its new PROCTORING_USER_OBFUSCATION_KEY")
@secret_option("studio-secret", "its new JWT_SECRET_KEY, with which Studio publishes exams")
def rotate(
    name: str,
    client_secret_file: Path | None,
    our_client_secret_file: Path | None,
    obfuscation_key_file: Path | None,
    studio_secret_file: Path | None,
) -> None:
    """Replace secrets of the LMS NAME, from the next request on."""
    secrets = read_secrets(
        client_secret=client_secret_file,
        our_client_secret=our_client_secret_file,
        obfuscation_key=obfuscation_key_file,
        studio_secret=studio_secret_file,
    )
    if not secrets:
        raise click.UsageError("Say which secret to replace.")
    _refuse_short(secrets)
    with exam_store() as store, store.write() as session:
        replaced: dict[str, Any] = dict(secrets)
        session.lmses.replace(dataclasses.replace(session.lms(name), **replaced))
        _record(session, name, "secrets replaced", ", ".join(sorted(secrets)))
    click.echo(f"Replaced of LMS {name}: {', '.join(sorted(secrets))}")
    if "obfuscation_key" in secrets:
        click.echo("Attempts registered under the old key can not be joined to learners any more.")


@lms.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove the LMS NAME, if no exam is of it."""
    with exam_store() as store, store.write() as session:
        if not session.lmses.remove(name):
            raise NotFound(f"No LMS {name}")
        _record(session, name, "removed")
    click.echo(f"Removed LMS {name}")


def _checked(given: Lms) -> Lms:
    """Raises: InvalidRequest."""
    if origin_of(given.base_url) is None or not given.base_url.startswith(("http://", "https://")):
        raise InvalidRequest("--url must be like https://lms.example.org")
    for option, origins in (("origin", given.origins), ("page-origin", given.page_origins)):
        for origin in origins:
            if origin_of(origin) != origin:
                example = "https://lms.example.org"
                raise InvalidRequest(f"--{option} must be like {example}, not {origin!r}")
    for name, most in LONGEST.items():
        text = getattr(given, name)
        if len(text) > most or not text.isprintable() or (not text and name != "jwt_issuer"):
            option = name.replace("_", "-")
            raise InvalidRequest(f"--{option} has 1 to {most} printable characters")
    if bool(given.jwt_issuer) != bool(given.jwt_keys):
        raise InvalidRequest("--jwt-issuer and --jwt-keys go together")
    return given


def _refuse_short(secrets: Mapping[str, str]) -> None:
    """Raises: InvalidRequest. What an LMS has for everything else we can not choose."""
    for name in ("client_secret", "our_client_secret"):
        if len(secrets.get(name, "x" * LEAST_SECRET_CHARS)) < LEAST_SECRET_CHARS:
            option = name.replace("_", "-")
            raise InvalidRequest(TOO_SHORT.format(option=option, least=LEAST_SECRET_CHARS))


def _refuse_taken(session: ProctoringSession, given: Lms) -> None:
    for other in session.lmses.all():
        if other.name == given.name:
            continue
        if other.client_id == given.client_id:
            raise Conflict(f"LMS {other.name} signs in here with that client id already")
        if shared := set(other.origins) & set(given.origins):
            raise Conflict(f"{shared.pop()} is an origin of LMS {other.name} already")
        if pages := other.pages & given.pages:
            raise Conflict(f"{min(pages)} has pages of LMS {other.name} already")


def _read_keys(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8")
        keys = json.loads(text)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path} can not be read as JSON") from error
    listed = keys.get("keys") if isinstance(keys, dict) else None
    if not isinstance(listed, list) or not listed or len(text) > KEYS_BYTES:
        raise click.ClickException(f'{path} must be a JSON Web Key Set: {{"keys": [...]}}')
    if any(not isinstance(key, dict) or "d" in key or "k" in key for key in listed):
        raise click.ClickException(f"{path} must hold public keys only")
    return text


def _warn(loaded: Settings, given: Lms) -> None:
    origin = origin_of(given.base_url)
    if origin is not None and not loaded.allows_origin(origin):
        click.echo(f"{origin} is not in XQUEUE_LMS_ORIGINS: no grade can go there", err=True)


def _as_object(given: Lms) -> dict[str, Any]:
    plain = {
        f.name: getattr(given, f.name)
        for f in dataclasses.fields(Lms)
        if f.name not in (*SECRETS, "jwt_keys")
    }
    has = {f"has_{name}": bool(getattr(given, name)) for name in (*SECRETS, "jwt_keys")}
    return plain | has


def _shown(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, tuple) else value


def _record(session: ProctoringSession, name: str, why: str, detail: str | None = None) -> None:
    events.append(session.tx, subject=f"lms {name}", actor=actor(), why=why, detail=detail)

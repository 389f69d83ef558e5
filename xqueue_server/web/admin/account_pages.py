"""Accounts, what they may do, and API tokens. For administrators of everything."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from flask import Response

from xqueue_server.accounts import passwords
from xqueue_server.accounts.access import ADMINISTER
from xqueue_server.errors import Conflict, InvalidRequest, NotFound
from xqueue_server.models.account import ALL_QUEUES, QUEUE_ROLES, Grant, Role
from xqueue_server.models.api_token import new_token, token_hash
from xqueue_server.storage import (
    accounts,
    admin_sessions,
    course_grants,
    identities,
    queues,
    tokens,
)
from xqueue_server.storage.course_grants import ROLES as COURSE_ROLES
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.web.admin.call import HIGHEST_ID, AdminCall, whole_number
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route

SHORTEST_PASSWORD = 12
LONGEST_DAYS = 366


# -- accounts ------------------------------------------------------------------------------------


def show_accounts(call: AdminCall) -> Response:
    call.require_administrator()
    with call.storage.read() as tx:
        found = accounts.all_accounts(tx)
        on_courses = course_grants.of_all(tx)
    return call.page("accounts.html", found=found, on_courses=on_courses)


def show_account(call: AdminCall, name: str) -> Response:
    call.require_administrator()
    with call.storage.read() as tx:
        found = accounts.get(tx, name)
        on_courses = course_grants.of_account(tx, found.id)
        elsewhere = identities.of_account(tx, found.id)
        names = [q.name for q in queues.all_queues(tx)]
        held = [t for t in tokens.all_tokens(tx) if t.account == name]
    return call.page(
        "account.html",
        account=found,
        on_courses=on_courses,
        identities=elsewhere,
        queues=names,
        roles=list(QUEUE_ROLES),
        course_roles=sorted(COURSE_ROLES),
        tokens=held,
        shortest=SHORTEST_PASSWORD,
        longest_email=accounts.LONGEST_EMAIL,
    )


def add_account(call: AdminCall) -> Response:
    call.require_administrator()
    name, password = call.field("name"), call.fields.get("password", "")
    # Without one nobody can sign in with a password: what nobody knows is its password.
    password_hash = passwords.hash_password(
        _password(password) if password else secrets.token_urlsafe(32)
    )
    with call.storage.write() as tx:
        accounts.add(tx, name=name, password_hash=password_hash, grants=(), actor=call.actor)
    return _done(call, name, f"Added account {name}. It may do nothing yet: grant it a role.")


def set_password(call: AdminCall, name: str) -> Response:
    call.require_administrator()
    password_hash = passwords.hash_password(_password(call.fields.get("password", "")))
    with call.storage.write() as tx:
        accounts.set_password(tx, name, password_hash, actor=call.actor)
        admin_sessions.end_all(tx, accounts.get(tx, name).id)
    return _done(call, name, f"Set the password of account {name}; its sessions have ended.")


def set_email(call: AdminCall, name: str) -> Response:
    call.require_administrator()
    email = call.field("email") or None
    with call.storage.write() as tx:
        accounts.set_email(tx, name, email, actor=call.actor)
    done = "Set" if email else "Removed"
    return _done(call, name, f"{done} the e-mail address of account {name}.")


def set_active(call: AdminCall, name: str) -> Response:
    call.require_administrator()
    active = call.field("active") == "yes"
    if name == call.account.name and not active:
        raise Conflict("You would lock yourself out: let another administrator do it")
    with call.storage.write() as tx:
        accounts.set_active(tx, name, active, actor=call.actor)
    return _done(call, name, f"{'Enabled' if active else 'Disabled'} account {name}.")


def remove_account(call: AdminCall, name: str) -> Response:
    call.require_administrator()
    if name == call.account.name:
        raise Conflict("You would lock yourself out: let another administrator do it")
    if call.field("sure") != name:
        raise InvalidRequest(f"To remove the account, write its name: {name}")
    with call.storage.write() as tx:
        accounts.remove(tx, name, actor=call.actor)
    return call.done(f"Removed account {name}.", at("accounts"))


def grant(call: AdminCall, name: str) -> Response:
    call.require_administrator()
    course = call.field("course")
    with call.storage.write() as tx:
        if course:
            accounts.get(tx, name)
            course_grants.grant(tx, name, _course_grant(call), actor=call.actor)
        else:
            accounts.grant(tx, name, [_grant(call)], actor=call.actor)
    return _done(call, name, f"Granted {call.field('role')} to account {name}.")


def revoke(call: AdminCall, name: str) -> Response:
    call.require_administrator()
    taken = None if call.field("course") else _grant(call)
    if name == call.account.name and taken == Grant(role=Role.ADMIN, queue=ALL_QUEUES):
        raise Conflict("You would lock yourself out: let another administrator do it")
    with call.storage.write() as tx:
        if taken is None:
            course_grants.revoke(tx, name, _course_grant(call), actor=call.actor)
        else:
            accounts.revoke(tx, name, [taken], actor=call.actor)
    return _done(call, name, f"Took {call.field('role')} from account {name}.")


def _grant(call: AdminCall) -> Grant:
    queue = call.field("queue")
    if not queue:
        raise InvalidRequest("Say on which queue, or on which course")
    return Grant(role=_role(call), queue=queue)


def _course_grant(call: AdminCall) -> CourseGrant:
    return CourseGrant(role=_role(call), course=call.field("course"))


def _role(call: AdminCall) -> Role:
    if call.field("role") not in set(Role):
        raise InvalidRequest(f"The role is one of {', '.join(Role)}")
    return Role(call.field("role"))


def _password(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise InvalidRequest(f"A password has {SHORTEST_PASSWORD} characters or more")
    return password


def _done(call: AdminCall, name: str, text: str) -> Response:
    return call.done(text, at("accounts", name))


# -- tokens --------------------------------------------------------------------------------------


def show_tokens(call: AdminCall) -> Response:
    call.require_administrator()
    with call.storage.read() as tx:
        found = list(reversed(tokens.all_tokens(tx)))
    return call.page("tokens.html", found=found)


def add_token(call: AdminCall, name: str) -> Response:
    """Its secret is on the page that answers, and nowhere after that."""
    call.require_administrator()
    days = whole_number(call.field("days"), "The number of days", least=1, most=LONGEST_DAYS)
    secret = new_token()
    with call.storage.write() as tx:
        token_id = tokens.add(
            tx,
            name,
            [_grant(call)],
            hashed=token_hash(secret),
            expires_at=call.now + timedelta(days=days),
            actor=call.actor,
        )
    return call.page(
        "secret.html",
        what=f"Token {token_id} of account {name}",
        secret=secret,
        once=True,
        hint=f"It works for {days} days. The server keeps only its hash.",
        back=at("accounts", name),
    )


def revoke_token(call: AdminCall, token_id: int) -> Response:
    call.require_administrator()
    if token_id > HIGHEST_ID:
        raise NotFound(f"Token {token_id} not found")
    with call.storage.write() as tx:
        tokens.revoke(tx, token_id, actor=call.actor)
    return call.done(f"Revoked token {token_id}; it counts no more.", at("tokens"))


_PATH = "/accounts/<name>"
ROUTES: Sequence[Route] = (
    Route(method="GET", path="/accounts", view=show_accounts, roles=ADMINISTER),
    Route(method="POST", path="/accounts", view=add_account, roles=ADMINISTER),
    Route(method="GET", path=_PATH, view=show_account, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/password", view=set_password, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/email", view=set_email, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/active", view=set_active, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/remove", view=remove_account, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/grant", view=grant, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/revoke", view=revoke, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/tokens", view=add_token, roles=ADMINISTER),
    Route(method="GET", path="/tokens", view=show_tokens, roles=ADMINISTER),
    Route(method="POST", path="/tokens/<int:token_id>/revoke", view=revoke_token, roles=ADMINISTER),
)

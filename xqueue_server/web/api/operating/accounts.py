"""Accounts and what they may do. Hashes are shown to nobody."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from flask import Response

from xqueue_server.accounts import passwords
from xqueue_server.accounts.access import ADMINISTER
from xqueue_server.models.account import Account
from xqueue_server.storage import Transaction, accounts, course_grants
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.web.api.answer import answer, answer_unless_known, nothing
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.operating.grants import GRANTS, Grants, grant_documents, read_grants
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import PAGE, Route
from xqueue_server.web.api.schema import ID, TEXT, YES_NO, changes, list_of, nullable, page, record

MAX_NAME_CHARS = 128
MAX_ACCOUNT_BYTES = 128 * 1024


def list_accounts(call: ApiCall) -> Response:
    call.caller.require_everywhere(ADMINISTER)
    asked = page_of(call)
    with call.services.storage.read() as tx:
        found = accounts.all_accounts(tx)
        on_courses = course_grants.of_all(tx)
    return answer(
        asked.answer(
            "accounts",
            asked.of_all(found, lambda account: account.id),
            lambda account: _document(account, on_courses.get(account.id, [])),
            lambda account: account.id,
        )
    )


def show_account(call: ApiCall, name: str) -> Response:
    """One's own, too."""
    if name != call.caller.account.name:
        call.caller.require_everywhere(ADMINISTER)
    with call.services.storage.read() as tx:
        account = accounts.get(tx, name)
        usable = accounts.valid_queue_names(tx, account)
        document = _stored_document(tx, account.name) | {"queues": usable}
    return answer_unless_known(call.request, document)


def add_account(call: ApiCall) -> Response:
    call.caller.require_everywhere(ADMINISTER)
    fields = Fields(call.document(MAX_ACCOUNT_BYTES), ("name", "password", "email", "grants"))
    name = fields.text("name", most=MAX_NAME_CHARS)
    password = _password(fields) if fields.has("password") else secrets.token_urlsafe(32)
    email = _email(fields) if fields.has("email") else None
    grants = read_grants(fields, "grants", is_needed=False)
    fields.check()
    password_hash = passwords.hash_password(password)
    with call.services.storage.write() as tx:
        accounts.add(
            tx,
            name=name,
            password_hash=password_hash,
            grants=grants.queues,
            actor=call.caller.actor,
            email=email,
        )
        for on_course in grants.courses:
            course_grants.grant(tx, name, on_course, actor=call.caller.actor)
        document = _stored_document(tx, name)
    return answer(document, 201)


def change_account(call: ApiCall, name: str) -> Response:
    call.caller.require_everywhere(ADMINISTER)
    fields = Fields(call.document(SMALL_BYTES), ("password", "email", "active"))
    password = _password(fields) if fields.has("password") else None
    email = _email(fields) if fields.has("email") else None
    active = fields.yes_no("active") if fields.has("active") else None
    fields.check()
    password_hash = None if password is None else passwords.hash_password(password)
    with call.services.storage.write() as tx:
        accounts.get(tx, name)
        if password_hash is not None:
            accounts.set_password(tx, name, password_hash, actor=call.caller.actor)
        if fields.has("email"):
            accounts.set_email(tx, name, email, actor=call.caller.actor)
        if active is not None:
            accounts.set_active(tx, name, active, actor=call.caller.actor)
        document = _stored_document(tx, name)
    return answer(document)


def remove_account(call: ApiCall, name: str) -> Response:
    call.caller.require_everywhere(ADMINISTER)
    with call.services.storage.write() as tx:
        accounts.remove(tx, name, actor=call.caller.actor)
    return nothing()


def grant_to_account(call: ApiCall, name: str) -> Response:
    grants = _granting(call)
    with call.services.storage.write() as tx:
        accounts.grant(tx, name, grants.queues, actor=call.caller.actor)
        for on_course in grants.courses:
            course_grants.grant(tx, name, on_course, actor=call.caller.actor)
        document = _stored_document(tx, name)
    return answer(document)


def revoke_from_account(call: ApiCall, name: str) -> Response:
    grants = _granting(call)
    with call.services.storage.write() as tx:
        accounts.get(tx, name)
        if grants.queues:
            accounts.revoke(tx, name, grants.queues, actor=call.caller.actor)
        for on_course in grants.courses:
            course_grants.revoke(tx, name, on_course, actor=call.caller.actor)
        document = _stored_document(tx, name)
    return answer(document)


def _granting(call: ApiCall) -> Grants:
    call.caller.require_everywhere(ADMINISTER)
    fields = Fields(call.document(MAX_ACCOUNT_BYTES), ("grants",))
    grants = read_grants(fields, "grants")
    fields.check()
    return grants


def _password(fields: Fields) -> str:
    password = fields.raw("password")
    if isinstance(password, str) and passwords.is_usable(password):
        return password
    fields.wrong(
        "password", f"must have 1 to {passwords.MAX_PASSWORD_BYTES} bytes and no NUL character"
    )
    return ""


def _email(fields: Fields) -> str | None:
    email = fields.raw("email")
    if email is None or (isinstance(email, str) and accounts.is_email(email)):
        return email
    most = accounts.LONGEST_EMAIL
    fields.wrong("email", f"must be an e-mail address of {most} characters at most, or null")
    return None


def _stored_document(tx: Transaction, name: str) -> dict[str, Any]:
    account = accounts.get(tx, name)
    return _document(account, course_grants.of_account(tx, account.id))


def _document(account: Account, on_courses: Sequence[CourseGrant]) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "email": account.email,
        "active": account.active,
        "grants": grant_documents(account.grants, on_courses),
    }


ACCOUNT = record("Account", id=ID, name=TEXT, email=nullable(TEXT), active=YES_NO, grants=GRANTS)
ADMIN = "admin on all queues"
GRANTING = record("Granting", grants=GRANTS)

ROUTES = (
    Route(
        method="GET",
        path="/accounts",
        view=list_accounts,
        about="Accounts with their grants, newest first",
        who=ADMIN,
        query=PAGE,
        answers={200: page("accounts", ACCOUNT)},
    ),
    Route(
        method="POST",
        path="/accounts",
        view=add_account,
        about="Add an account; without a password nobody can sign in with one",
        who=ADMIN,
        body=record(
            "NewAccount",
            optional=("password", "email", "grants"),
            name=TEXT,
            password=TEXT,
            email=nullable(TEXT),
            grants=GRANTS,
        ),
        answers={201: ACCOUNT},
    ),
    Route(
        method="GET",
        path="/accounts/<name>",
        view=show_account,
        about="One account, and the queues that it may use over the XQueue protocol",
        who=f"{ADMIN}; the account itself",
        answers={
            200: record(
                "AccountInFull",
                id=ID,
                name=TEXT,
                email=nullable(TEXT),
                active=YES_NO,
                grants=GRANTS,
                queues=list_of(TEXT),
            ),
            304: None,
        },
    ),
    Route(
        method="PATCH",
        path="/accounts/<name>",
        view=change_account,
        about="Set the password, disable or enable, either of which ends its sessions; set the "
        "e-mail address by which an LMS knows who reviews (null: none)",
        who=ADMIN,
        body=changes("AccountChanges", password=TEXT, email=nullable(TEXT), active=YES_NO),
        answers={200: ACCOUNT},
    ),
    Route(
        method="DELETE",
        path="/accounts/<name>",
        view=remove_account,
        about="Remove an account with its grants and tokens",
        who=ADMIN,
        answers={204: None},
    ),
    Route(
        method="POST",
        path="/accounts/<name>/grant",
        view=grant_to_account,
        about="Give an account roles on queues or courses",
        who=ADMIN,
        body=GRANTING,
        answers={200: ACCOUNT},
    ),
    Route(
        method="POST",
        path="/accounts/<name>/revoke",
        view=revoke_from_account,
        about="Take exactly these grants back",
        who=ADMIN,
        body=GRANTING,
        answers={200: ACCOUNT},
    ),
)

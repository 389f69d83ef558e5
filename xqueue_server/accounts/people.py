"""Persons that an identity provider vouches for, and their accounts here.

The first sign-in makes an account that may do nothing, unless the settings name the person as an
administrator. An account of the same name is never taken over.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection

from xqueue_server.accounts import passwords
from xqueue_server.errors import NotSignedIn
from xqueue_server.identity_providers import Person
from xqueue_server.models.account import ALL_QUEUES, Account, Grant, Role
from xqueue_server.storage import Storage, Transaction, accounts, identities

EVERYTHING = Grant(role=Role.ADMIN, queue=ALL_QUEUES)
_UNUSABLE = re.compile(r"[^\w.@+-]+")
_MOST_CHARS = 100
_MOST_SUBJECT_CHARS = 255


def account_for(storage: Storage, person: Person, administrators: Collection[str]) -> Account:
    """The person's account, made if there is none. One without an e-mail address gets that which
    the provider has verified; another, that an administrator has set, it keeps.

    `administrators`: verified e-mail addresses or subjects that the settings list.

    Raises:
        NotSignedIn: the account is disabled, or the subject can not be kept.
    """
    if not 0 < len(person.subject) <= _MOST_SUBJECT_CHARS or "\0" in person.subject:
        raise NotSignedIn("The provider's name for you is too long to be kept")
    # Nobody knows this password; a hash all the same, so that guessing at it takes as long.
    password_hash = passwords.hash_password(secrets.token_urlsafe(32))
    with storage.write() as tx:
        account = _known(tx, person) or _new(tx, person, password_hash)
        if not account.active:
            raise NotSignedIn("Your account here is disabled")
        if _is_listed(person, administrators) and EVERYTHING not in account.grants:
            accounts.grant(tx, account.name, [EVERYTHING], actor="settings")
        if account.email is None and person.email and accounts.is_email(person.email):
            accounts.set_email(tx, account.name, person.email, actor=_signing_in(person))
        return accounts.get(tx, account.name)


def _known(tx: Transaction, person: Person) -> Account | None:
    account_id = identities.account_of(tx, person.issuer, person.subject)
    if account_id is None:
        return None
    identities.note_use(tx, person.issuer, person.subject)
    return accounts.by_id(tx, account_id)


def _new(tx: Transaction, person: Person, password_hash: str) -> Account:
    name = _free_name(tx, person)
    account = accounts.add(
        tx,
        name=name,
        password_hash=password_hash,
        grants=(),
        actor=_signing_in(person),
    )
    identities.add(tx, person.issuer, person.subject, account.id)
    return account


def _signing_in(person: Person) -> str:
    return f"sign-in at {person.issuer}"[:160]


def _free_name(tx: Transaction, person: Person) -> str:
    wanted = _UNUSABLE.sub("-", person.name).strip("-")[:_MOST_CHARS] or "person"
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        if accounts.by_name(tx, wanted + suffix) is None:
            return wanted + suffix
    return f"{wanted}-{secrets.token_hex(6)}"


def _is_listed(person: Person, administrators: Collection[str]) -> bool:
    """An entry with @ counts for e-mail alone: somebody might choose one for a user name."""
    emails = {entry.lower() for entry in administrators if "@" in entry}
    subjects = {entry for entry in administrators if "@" not in entry}
    return person.subject in subjects or (person.email or "").lower() in emails

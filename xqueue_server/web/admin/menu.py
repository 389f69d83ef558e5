"""The pages that an account may open, as the side of every page lists them."""

from __future__ import annotations

from dataclasses import dataclass

from xqueue_server.accounts.access import REPAIR, SEE, SEE_EXAMS, SEE_GRADERS
from xqueue_server.models.account import Account, Role
from xqueue_server.models.scope import Scope
from xqueue_server.web.admin.paths import at


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    text: str
    href: str
    is_here: bool
    group: str | None = None
    """The heading above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    text: str
    name: str
    roles: frozenset[Role] | None
    """On some queue; None: an administrator of everything."""
    of_course: bool = False
    """Also for those whose grants are for courses only."""
    group: str | None = None


_PAGES = (
    _Page(text="Overview", name="", roles=SEE_GRADERS, of_course=True),
    _Page(text="Submissions", name="submissions", roles=SEE, of_course=True),
    _Page(text="Dead letters", name="callbacks", roles=SEE),
    _Page(text="Faults", name="faults", roles=SEE_GRADERS),
    _Page(text="Regrades", name="regrades", roles=REPAIR, of_course=True),
    _Page(text="Exams", name="proctoring", roles=SEE_EXAMS, of_course=True),
    _Page(text="Queues", name="queues", roles=SEE_GRADERS, group="Capacity"),
    _Page(text="Workers", name="workers", roles=SEE),
    _Page(text="Deadlines", name="deadlines", roles=SEE),
    _Page(text="Accounts", name="accounts", roles=None, group="Access"),
    _Page(text="Tokens", name="tokens", roles=None),
    _Page(text="Audit log", name="events", roles=SEE_GRADERS),
)


def menu_of(account: Account, scope: Scope, is_administrator: bool, path: str) -> list[Item]:
    """`scope`: where the account may see at all."""
    return [
        Item(
            text=page.text,
            href=at(page.name),
            is_here=_is_here(page.name, path),
            group=page.group,
        )
        for page in _PAGES
        if _may(page, account, scope, is_administrator)
    ]


def _may(page: _Page, account: Account, scope: Scope, is_administrator: bool) -> bool:
    if page.roles is None:
        return is_administrator
    is_on_queue = any(grant.role in page.roles for grant in account.grants)
    return is_on_queue or (page.of_course and bool(scope.courses))


def _is_here(name: str, path: str) -> bool:
    here = path.removeprefix("/admin/").partition("/")[0]
    return here == name

"""What an LMS asks its provider about learners: who has done the onboarding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from proctoring_hooks import onboarding
from proctoring_hooks.attempt import Learner
from proctoring_hooks.lms import Lms
from proctoring_hooks.onboarding import Onboarding, Profile
from proctoring_hooks.store import Session
from proctoring_hooks.web.provider_attempts import OBSCURED_ID
from proctoring_hooks.web.provider_bodies import BadBody

PAGE_SIZE = 25
MOST_ON_A_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    user_id: str
    """ "": everybody in the course."""
    profile: Profile | None
    page: int
    """From 1."""
    page_size: int


def read(parameters: Mapping[str, str]) -> Asked:
    """Raises: BadBody."""
    user_id, status = parameters.get("user_id", ""), parameters.get("status", "")
    if user_id and not OBSCURED_ID.fullmatch(user_id):
        raise BadBody("user_id must be an obscured id: 40 hexadecimal digits")
    if status and status not in frozenset(Profile):
        raise BadBody(f"status must be one of {', '.join(Profile)}")
    return Asked(
        user_id=user_id,
        profile=Profile(status) if status else None,
        page=_count(parameters, "page", 1, most=1_000_000),
        page_size=_count(parameters, "page_size", PAGE_SIZE, most=MOST_ON_A_PAGE),
    )


def _count(parameters: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    given = parameters.get(name, "") or str(default)
    count = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
    if not 1 <= count <= most:
        raise BadBody(f"{name} must be a number from 1 to {most}")
    return count


def statuses(
    session: Session, lms: Lms, course_id: str, asked: Asked, *, url: str
) -> dict[str, Any]:
    """Of one learner, or a page of those of a course; `url` is what was asked, without a query."""
    if asked.user_id:
        learner = Learner(obscured_id=asked.user_id)
        return _told(onboarding.of_learner(session, lms.name, course_id, learner))
    found = onboarding.of_course(session, lms.name, course_id)
    if asked.profile is not None:
        found = [each for each in found if each.profile is asked.profile]
    pages = max(1, -(-len(found) // asked.page_size))
    first = (asked.page - 1) * asked.page_size
    return {
        "results": [_told(each) for each in found[first : first + asked.page_size]],
        "count": len(found),
        "num_pages": pages,
        "next": _page(url, asked, asked.page + 1) if asked.page < pages else None,
        "previous": _page(url, asked, asked.page - 1) if 1 < asked.page <= pages else None,
    }


def _told(each: Onboarding) -> dict[str, Any]:
    return {
        "user_id": each.learner.obscured_id,
        "status": each.profile,
        "expiration_date": each.expires_at.isoformat() if each.expires_at else None,
    }


def _page(url: str, asked: Asked, page: int) -> str:
    query = {"page": str(page), "page_size": str(asked.page_size)}
    if asked.profile is not None:
        query["status"] = asked.profile
    return f"{url}?{urlencode(query)}"

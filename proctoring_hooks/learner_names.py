"""Who a learner is to people: apart from everything else, as the first to be erased."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerNames:
    full_name: str
    email: str
    username: str

"""One change of an attempt, as those see it who act on it."""

from __future__ import annotations

from dataclasses import dataclass

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.reviews import Review
from proctoring_hooks.transitions import Action, By


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    exam: Exam
    before: Attempt | None
    """None: it is new."""
    after: Attempt | None
    """None: it was removed."""
    action: Action
    by: By
    review: Review | None = None
    """What judged it."""

    @property
    def attempt(self) -> Attempt:
        """As it is now, or was at last."""
        found = self.after or self.before
        assert found is not None, "something happened to an attempt"
        return found

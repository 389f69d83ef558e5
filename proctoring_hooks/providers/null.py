"""`null`: a provider that nobody is. It is told nothing; people must ready and judge attempts."""

from __future__ import annotations

from proctoring_hooks.providers.base import About, Answer, Entry, Learned, Occasion


class NullProvider:
    def __init__(self, entry: Entry) -> None:
        """It has no settings."""

    def tell(self, occasion: Occasion, about: About) -> Learned:
        return Learned()

    def read(self, occasion: Occasion, about: About, answer: Answer) -> Learned | None:
        return None

"""What a check of `doctor` found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    verdict: Verdict
    what: str
    found: str
    to_do: str | None = None


def ok(what: str, found: str) -> Finding:
    return Finding(verdict=Verdict.OK, what=what, found=found)


def warn(what: str, found: str, to_do: str) -> Finding:
    return Finding(verdict=Verdict.WARN, what=what, found=found, to_do=to_do)


def fail(what: str, found: str, to_do: str) -> Finding:
    return Finding(verdict=Verdict.FAIL, what=what, found=found, to_do=to_do)

"""Cases that are tried some at a time before the tests that look at each one's result.

A module's fixture with one parameter per engine tries the cases of that engine; the module's tests,
one per case, take them from it. So a failing case is still shown by itself, and with `-k` only the
cases that are asked for are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from sandbox.backend import SandboxBackend
from sandbox.conformance import Case, CaseResult, run_conformance

AT_ONCE = 3
"""What a machine with two cores has none be late of."""
Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


def wanted_cases(request: pytest.FixtureRequest, argument: str) -> list[Any]:
    """The `argument` of each selected test of the module that uses the fixture with its parameter.

    `request` is of a fixture of scope module: others may be called the same.
    """
    return [
        item.callspec.params[argument]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and request.fixturename in item.fixturenames
        and hasattr(item, "callspec")
        and argument in item.callspec.params
        and item.callspec.params.get(request.fixturename) == getattr(request, "param", None)
    ]


def try_together(
    tries: Mapping[Key, Callable[[], Result]], *, at_once: int = AT_ONCE
) -> Mapping[Key, Future[Result]]:
    """Each result by key. What a try raised is raised again where its result is asked for."""
    with ThreadPoolExecutor(at_once) as pool:
        return {key: pool.submit(one) for key, one in tries.items()}


def try_promise(backend: SandboxBackend, runtime: str | None, case: Case) -> CaseResult:
    """What came of one case of the conformance suite."""
    (result,) = run_conformance(backend, [case], runtime=runtime)
    return result

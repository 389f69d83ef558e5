"""`gradelib`: graders, tests, input checks. Sent beside the learner's program as `gradelib.py`."""

from __future__ import annotations

import contextlib
import io
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from gradelib_checks import (  # type: ignore[import-not-found]
    count_non_comment_lines,
    input_check_or,
    must_define_class,
    must_define_function,
    one_of_required_keywords,
    prohibited_class_method,
    prohibited_function_definition,
    prohibited_keyword,
    prohibited_operator,
    prohibited_substring,
    required_class_method,
    required_keyword,
    required_operator,
    required_substring,
    substring_occurs,
    substring_occurs_if_condstring,
    token_occurs,
)

__all__ = [
    "EndTest",
    "ExecWrappedStudentCodeTest",
    "Grader",
    "InvokeStudentFunctionTest",
    "Test",
    "capture_stdout",
    "count_non_comment_lines",
    "exec_code_and_inspect_values",
    "exec_wrapped_code",
    "fix_line_endings",
    "input_check_or",
    "invoke_student_function",
    "must_define_class",
    "must_define_function",
    "one_of_required_keywords",
    "prohibited_class_method",
    "prohibited_function_definition",
    "prohibited_keyword",
    "prohibited_operator",
    "prohibited_substring",
    "rand",
    "required_class_method",
    "required_keyword",
    "required_operator",
    "required_substring",
    "round_float_writer",
    "substring_occurs",
    "substring_occurs_if_condstring",
    "token_occurs",
    "trace_wrapped_code",
    "wrap_in_string",
]

TestFunction = Callable[[ModuleType], object]
Compare = Callable[[str, str], object]
Writer = Callable[[Any], object]

rand = random.Random(1)  # noqa: S311 - seeded before each test, alike for answer and submission


class EndTest(Exception):
    """Ends a test; its message is shown to the learner."""

    def __init__(self, message: object = None) -> None:
        super().__init__(message)
        self.message = message


class Test:
    """A function that is given the submission as a module and prints; what it prints for the
    learner's is compared with what it prints for the staff's answer."""

    __test__ = False

    def __init__(
        self,
        test_fn: TestFunction,
        short_description: str,
        detailed_description: str | None = "",
        compare: Compare | None = None,
    ) -> None:
        self._test_fn = test_fn
        self.short_description = short_description
        self.detailed_description = detailed_description or ""
        if compare is not None:
            self.compare_results = compare  # type: ignore[method-assign,assignment]

    def __call__(self, submission_module: ModuleType) -> object:
        return self._test_fn(submission_module)

    def compare_results(self, expected: str, actual: str) -> object:
        return expected == actual


class Grader:
    """What a `grader.py` must leave in the name `grader`."""

    def __init__(self) -> None:
        self._tests: list[Test] = []
        self._input_checks: list[Callable[[str], str | None]] = []
        self._preprocessors: list[Callable[[str], str]] = [fix_line_endings]
        self._ends_raised = 0

    def add_test(self, test: Test) -> None:
        self._tests.append(test)

    def add_tests_from_class(self, test_class: type) -> None:
        """Each method `test_…`, in the order of their names; `compare_results` is for all."""
        instance = test_class()
        compare = getattr(instance, "compare_results", None)
        for name in sorted(dir(instance)):
            method = getattr(instance, name)
            if name.startswith("test_") and callable(method):
                title = "Test: " + name.removeprefix("test_").replace("_", " ")
                self.add_test(Test(method, title, method.__doc__, compare))

    def add_input_check(self, check: Callable[[str], str | None]) -> None:
        self._input_checks.append(check)

    def add_preprocessor(self, fn: Callable[[str], str]) -> None:
        self._preprocessors.append(fn)

    def tests(self) -> list[Test]:
        return self._tests

    def input_errors(self, submission_str: str) -> list[str]:
        found = (check(submission_str) for check in self._input_checks)
        return [error for error in found if error]

    def preprocess(self, submission_str: str) -> str:
        for change in self._preprocessors:
            submission_str = change(submission_str)
        return submission_str

    def end_test(self, message: object) -> None:
        self._ends_raised += 1
        raise EndTest(message)

    def caught_end_test(self) -> None:
        self._ends_raised -= 1

    def uncaught_end_tests(self) -> int:
        """How many that were raised never came out of the learner's code."""
        return self._ends_raised


def wrap_in_string(code: str) -> str:
    """Makes a module whose `submission_code` is the code, so that a test can run it itself."""
    return f"submission_code = {code!r}"


def fix_line_endings(code: str) -> str:
    return code.replace("\r", "")


@contextlib.contextmanager
def capture_stdout() -> Iterator[io.StringIO]:
    before, sys.stdout = sys.stdout, io.StringIO()
    try:
        yield sys.stdout
    finally:
        sys.stdout = before


def exec_wrapped_code(
    environment: dict[str, Any] | None = None, post_process: Callable[[str], str] | None = None
) -> TestFunction:
    """Runs code wrapped by `wrap_in_string` and prints what it prints."""

    def run(submission_module: ModuleType) -> None:
        with capture_stdout() as printed:
            _run_wrapped(submission_module, environment)
        text = printed.getvalue()
        print(post_process(text) if post_process else text)  # noqa: T201

    return run


def exec_code_and_inspect_values(
    environment: dict[str, Any] | None = None,
    vars_to_inspect: Sequence[str] = (),
    post_process: Callable[[str], str] | None = None,
) -> TestFunction:
    """Runs wrapped code and prints the named variables, nothing that the code prints."""

    def run(submission_module: ModuleType) -> None:
        with capture_stdout():
            names = _run_wrapped(submission_module, environment)
        for name in vars_to_inspect:
            text = str(names.get(name))
            print(post_process(text) if post_process else text)  # noqa: T201

    return run


def _run_wrapped(
    submission_module: ModuleType, environment: dict[str, Any] | None
) -> dict[str, Any]:
    names = dict(environment or {})
    exec(submission_module.submission_code, names)  # noqa: S102 - its purpose
    return names


def trace_wrapped_code(inspector: Any, error_msg: str) -> TestFunction:
    def run(submission_module: ModuleType) -> None:
        inspector.set_source(submission_module.submission_code)
        with inspector:
            for report in inspector.inspect_dispatch():
                if not report:
                    print(error_msg)  # noqa: T201

    return run


def invoke_student_function(
    fn_name: str,
    args: Sequence[Any],
    environment: dict[str, Any] | None = None,
    output_writer: Writer | None = None,
) -> TestFunction:
    """Prints the `repr` (or what the writer makes) of what the learner's function returns."""
    write = output_writer or repr

    def run(submission_module: ModuleType) -> None:
        for name, value in (environment or {}).items():
            setattr(submission_module, name, value)
        print(write(getattr(submission_module, fn_name)(*args)))  # noqa: T201

    return run


class InvokeStudentFunctionTest(Test):
    def __init__(
        self,
        fn_name: str,
        args: Sequence[Any],
        environment: dict[str, Any] | None = None,
        output_writer: Writer | None = None,
        short_desc: str | None = None,
        detailed_desc: str | None = None,
        compare: Compare | None = None,
    ) -> None:
        title = short_desc or f"Test: {fn_name}({', '.join(repr(value) for value in args)})"
        run = invoke_student_function(fn_name, args, environment, output_writer)
        super().__init__(run, title, detailed_desc, compare)


class ExecWrappedStudentCodeTest(Test):
    def __init__(
        self,
        environment: dict[str, Any] | None = None,
        short_desc: str | None = None,
        detailed_desc: str | None = None,
        post_process: Callable[[str], str] | None = None,
        compare: Compare | None = None,
    ) -> None:
        run = exec_wrapped_code(environment, post_process)
        super().__init__(run, short_desc or "Test: run the code", detailed_desc, compare)


def round_float_writer(n: int) -> Writer:
    return lambda number: f"{number:.{n}f}"

"""The words of one test in `grader.yaml`, and what is said to those who take others."""

from __future__ import annotations

COMMON_KEYS = (
    "id",
    "title",
    "points",
    "hidden",
    "show_expected",
    "feedback",
    "limits",
    "allow_empty",
)
PROGRAM_KEYS = (
    "stdin",
    "stdin_file",
    "args",
    "files",
    "stdout",
    "stdout_file",
    "stdout_regex",
    "stderr_regex",
    "exit",
    "creates",
    "checker",
    "tolerance",
    "ignore",
    "exact",
)
CALL_KEYS = ("call", "args", "kwargs", "returns", "raises", "checker", "tolerance")
EXPECTATIONS = (
    "stdout",
    "stdout_file",
    "stdout_regex",
    "stderr_regex",
    "exit",
    "creates",
    "checker",
)
CALL_EXPECTATIONS = ("returns", "raises", "checker")
IGNORABLE = ("case", "spaces", "blank-lines", "line-order")
LIMIT_KEYS = ("time_s", "cpu_s", "memory_mb", "output_kb")
ALL_KEYS = tuple(dict.fromkeys((*COMMON_KEYS, *CALL_KEYS, *PROGRAM_KEYS)))
NOT_DEFAULTS = ("id", "title")
OTHER_WORDS = {
    "input": "The key for what the program reads is `stdin`.",
    "output": "The key for what the program must print is `stdout`.",
    "expected": "The key is `stdout` (a program's output) or `returns` (a function's value).",
    "expect": "The key is `stdout` (a program's output) or `returns` (a function's value).",
    "visible": "Write `hidden: true` for a hidden test.",
    "visibility": "Write `hidden: true` for a hidden test.",
    "name": "The keys are `id` (for counting) and `title` (for people).",
    "description": "The text learners read is `title`.",
    "score": "The key is `points`.",
    "weight": "The key is `points`.",
    "max": "The key is `points`.",
    "timeout": "Write `limits: {time_s: 2}`.",
    "time_s": "Write `limits: {time_s: 2}`.",
    "function": "The key is `call`.",
    "arguments": "The key is `args`.",
    "argv": "The key is `args`.",
    "regex": "The keys are `stdout_regex` and `stderr_regex`.",
    "stderr": "The key is `stderr_regex`.",
    "exit_code": "The key is `exit`.",
    "message": "The key is `feedback`.",
}

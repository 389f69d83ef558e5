"""The two tables of docs/graders/reference.md that come from `graders.languages`.

`python -m tests.kit.language_tables` writes them anew.
"""

import shlex
from pathlib import Path

from graders.languages import LANGUAGES
from sandbox.run import MIB

PAGE = Path(__file__).parents[2] / "docs" / "graders" / "reference.md"


def commands_table():
    rows = [
        f"| `{name}` | `{language.submission}` | {_command(language.compile)} "
        f"| {_command(language.run)} |"
        for name, language in LANGUAGES.items()
    ]
    return _table("| `language` | `submission` | `compile` | `run` |", rows)


def limits_table():
    keys = ("language", "time_s", "compile_s", "total_s", "memory_mb", "processes", "disk_mb")
    head = f"| {' | '.join(f'`{key}`' for key in keys)} |"
    rows = [
        f"| `{name}` | {language.test_wall_s:g} "
        f"| {language.limits.learner_wall_s if language.compile else 0:g} "
        f"| {language.limits.wall_s:g} | {language.limits.memory_bytes // MIB} "
        f"| {language.limits.pids} | {language.limits.scratch_bytes // MIB} |".replace(
            "| 0 |", "| |"
        )
        for name, language in LANGUAGES.items()
    ]
    return _table(head, rows)


def _command(words):
    return "none" if words is None else f"`{shlex.join(words)}`".replace("'{files}'", "{files}")


def _table(head, rows):
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *rows])


def with_tables(page):
    for name, table in (("languages", commands_table()), ("limits", limits_table())):
        before, _, rest = page.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- /{name} -->")
        page = f"{before}<!-- {name} -->\n{table}\n<!-- /{name} -->{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

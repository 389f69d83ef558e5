"""Commands of ours as pages quote them, read by the parsers that will read them for real.

Nothing is run and no file is looked at: only whether the command, its options and the values that
are no placeholders would be accepted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from grader_worker.cli import main as grader_worker
from graders.cli import main as graders
from sandbox.cli import main as sandbox_check
from tests.docs.pages import Page
from xqueue_server.cli.main import main as xqueue_server

PROGRAMS: dict[str, click.Command] = {
    "graders": graders,
    "grader-worker": grader_worker,
    "xqueue-server": xqueue_server,
    "sandbox-check": sandbox_check,
}
START = re.compile(rf"(?:^|[|(;&]\s*|\$ )\s*(?:sudo )?(?=(?:{'|'.join(PROGRAMS)})(?: \S|$))")
ASSIGNMENT = re.compile(r"^(?:[A-Z_]+=\S+ )+")
END = {"|", "||", "&&", "&", ";", ">", ">>", "<", "2>"}
ELLIPSIS = "…"
PLACEHOLDER = re.compile(r"…|\.\.\.|\$|<|\||^[A-Z][A-Z0-9_]*$")
OPTIONAL = re.compile(r"^\[(\w+)\]$")
PATHS = (click.Path, click.File)


class Wrong(Exception):
    """The command would be refused; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """`is_whole`: as it is to be typed, so that nothing required may be missing."""

    page: str
    text: str
    is_whole: bool

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def commands_of(page: Page) -> Iterator[Quoted]:
    for line in page.blocks:
        for text in _commands_in(line):
            yield Quoted(page=str(page), text=text, is_whole=ELLIPSIS not in text)
    for span in page.spans:
        for text in _commands_in(span):
            yield Quoted(page=str(page), text=text, is_whole=False)


def _commands_in(line: str) -> Iterator[str]:
    line = ASSIGNMENT.sub("", line.strip())
    for start in START.finditer(line):
        yield line[start.end() :]


def require_accepted(quoted: Quoted) -> None:
    """Raises Wrong."""
    name, *words = _words(quoted.text)
    command, rest, context = _resolved(PROGRAMS[name], words, click.Context(PROGRAMS[name]))
    if isinstance(command, click.Group):
        if rest and rest != ["--help"] and rest != ["--version"]:
            raise Wrong(f"{command.name} has no command {rest[0]}")
        return
    if not quoted.is_whole and rest and rest[-1] in _options_with_a_value(command):
        rest.append(ELLIPSIS)
    given = _parsed(command, rest, context)
    _require_values(command, given, context)
    if quoted.is_whole:
        _require_nothing_missing(command, given)


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="<>;&)")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in lexer:
        if word in END or (words and word.startswith((")", ";", ">", "<", "2>"))):
            break
        words.append(OPTIONAL.sub(r"\1", word))
    return words


def _resolved(
    command: click.Command, words: Sequence[str], context: click.Context
) -> tuple[click.Command, list[str], click.Context]:
    """Follow the words that name commands."""
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        inner = command.get_command(context, rest[0])
        if inner is None:
            if PLACEHOLDER.search(rest[0]):
                return command, [], context
            raise Wrong(f"there is no command {rest[0]}")
        context = click.Context(inner, info_name=rest.pop(0), parent=context)
        command = inner
    return command, rest, context


def _options_with_a_value(command: click.Command) -> set[str]:
    return {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.is_flag
        for name in parameter.opts
    }


def _parsed(command: click.Command, words: list[str], context: click.Context) -> dict[str, object]:
    try:
        given, extra, _ = command.make_parser(context).parse_args(args=words)
    except click.UsageError as error:
        raise Wrong(error.format_message()) from error
    if any(word != ELLIPSIS for word in extra):
        raise Wrong(f"unexpected {' '.join(extra)}")
    return {name: value for name, value in given.items() if _was_given(value)}


def _was_given(value: object) -> bool:
    """The parser marks an argument that is not there in ways that differ between releases."""
    return value is not None and value != () and "UNSET" not in repr(value)


def _require_values(
    command: click.Command, given: dict[str, object], context: click.Context
) -> None:
    for parameter in command.params:
        value = given.get(parameter.name or "")
        for one in value if isinstance(value, list | tuple) else (value,):
            _require_value(parameter, one, context)


def _require_value(parameter: click.Parameter, value: object, context: click.Context) -> None:
    is_checked = isinstance(value, str) and not PLACEHOLDER.search(value)
    if not is_checked or isinstance(parameter.type, PATHS) or parameter.type.name == "NAME=PATH":
        return
    try:
        converted = parameter.type.convert(value, parameter, context)
        if parameter.callback:
            parameter.callback(context, parameter, converted)
    except click.UsageError as error:
        raise Wrong(error.format_message()) from error


def _require_nothing_missing(command: click.Command, given: dict[str, object]) -> None:
    missing = [
        parameter.name
        for parameter in command.params
        if parameter.required and parameter.name not in given and not parameter.envvar
    ]
    if missing:
        raise Wrong(f"{', '.join(map(str, missing))} missing")

"""The commands of `grader.yaml`: how the learner's program is made and started."""

from __future__ import annotations

import shlex
from pathlib import Path

from graders.languages import JAVA_CLASSES, SOURCE_FILES, Language
from graders.yaml_section import Section
from graders.yaml_source import Scalar, is_none


def read_run(section: Section, language: Language, submission: str) -> tuple[str, ...]:
    own = _command(section, "run")
    if own[:1] == ("java",) and not section.has("compile") and language.name == "java":
        _require_compiled_classes(section, own)
    return own or _renamed(language.run, language.submission, submission)


def _require_compiled_classes(section: Section, words: tuple[str, ...]) -> None:
    if not any(JAVA_CLASSES.split(":")[0] in word for word in words):
        section.note(
            "run",
            "`run` starts Java without the classes that compiling made",
            f"Write `java … -cp {JAVA_CLASSES} Main`.",
        )


def read_compile(
    section: Section, language: Language, names: tuple[str, ...]
) -> tuple[str, ...] | None:
    """`names` are the files beside the program, the submission first; None: nothing is compiled."""
    if not section.has("compile"):
        words = language.compile
        words = None if words is None else _renamed(words, language.submission, names[0])
    else:
        words = _command(section, "compile") or None
    if words is None:
        return None
    sources = _source_files(language, names)
    filled: list[str] = []
    for word in words:
        filled += sources if word == SOURCE_FILES else [word]
    return tuple(filled)


def _command(section: Section, key: str) -> tuple[str, ...]:
    """The words of a command; none when it is not given."""
    node = section.entries.get(key)
    if node is None or is_none(node):
        return ()
    if not isinstance(node, Scalar):
        return section.texts(key, "words")
    text = section.text(key) or ""
    try:
        words = tuple(shlex.split(text))
        bare = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
        bare.whitespace_split = True
        signs = {word for word in bare if word and set(word) <= set("|&;<>")}
    except ValueError as error:
        section.note(key, f"`{key}`: {error}")
        return ()
    if signs:
        section.note(
            key,
            f"`{key}` is not given to a shell, so `{min(signs)}` means nothing in it",
            f"Write `{key}: sh -c '…'`.",
        )
    return words


def _renamed(words: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(word.replace(old, new) for word in words)


def _source_files(language: Language, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those that a compiler is given by name: all with the submission's ending."""
    ending = Path(language.submission).suffix
    found = [name for name in names if Path(name).suffix in (ending, Path(names[0]).suffix)]
    return tuple(dict.fromkeys(found))

"""`graders new`: a working grader from the template of a language.

`graders/templates/<language>/` is a whole grader that passes `graders check` once `@NAME@` and
`@TITLE@` in its texts are the new grader's. `graders/templates/image/` is one for tier 2.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from graders.errors import KitError
from graders.manifest import NAME

IMAGE = "image"
"""The template of a grader with a Dockerfile; its learners write Bash."""
ENTRY = "grade"
NAME_MARK = "@NAME@"
TITLE_MARK = "@TITLE@"


class NotCreated(KitError):
    """The new grader can not be made there, or under that name."""


def languages() -> tuple[str, ...]:
    """Those that have a template."""
    folders = {folder.name for folder in _templates().iterdir() if folder.is_dir()}
    return tuple(sorted(folders - {IMAGE}))


def create_grader(path: Path, language: str) -> tuple[Path, ...]:
    """Make the directory; its last part is the grader's name. Gives the files, relative to it.

    Raises NotCreated.
    """
    name = path.name
    if not NAME.fullmatch(name):
        raise NotCreated(
            f"{name!r} can not be the name of a grader: 1 to 63 of a-z, 0-9 and -, beginning with "
            "a letter or digit"
        )
    template = _templates() / language
    if not template.is_dir():
        raise NotCreated(f"there is no template for {language!r}; there are {languages()}")
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise NotCreated(f"{path} exists already") from None
    return tuple(_copy(template, path, Path(), name))


def _templates() -> Traversable:
    return resources.files("graders") / "templates"


def _copy(source: Traversable, target: Path, here: Path, name: str) -> list[Path]:
    made: list[Path] = []
    for item in sorted(source.iterdir(), key=lambda item: item.name):
        if item.name in ("__pycache__", "__init__.py"):
            continue
        if item.is_dir():
            (target / here / item.name).mkdir()
            made += _copy(item, target, here / item.name, name)
        else:
            text = item.read_text(encoding="utf-8")
            text = text.replace(NAME_MARK, name).replace(TITLE_MARK, _title(name))
            (target / here / item.name).write_text(text, encoding="utf-8", newline="\n")
            if item.name == ENTRY:
                (target / here / item.name).chmod(0o755)
            made.append(here / item.name)
    return made


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()

"""A grader's directory as one file: packed on the author's machine, unpacked by workers.

A bundle is a gzipped tar of plain files, sorted, without times or owners, so that the same
directory always gives the same bytes under one version of Python; its SHA-256 is its name. Beside
the author's files it holds `.xqueue/manifest.json`, `.xqueue/plan.json` and, where the author wrote
none, a `grade.py` that grades by the plan.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graders.errors import BundleRefused
from graders.grader_file import PROGRAM, GraderFile, read_grader_file
from graders.manifest import Manifest, manifest_from_json, manifest_to_json
from sandbox.bundle import MAX_GRADER_BYTES, MAX_GRADER_FILES
from sandbox.run import MIB

MAX_BUNDLE_BYTES = 8 * MIB
MAX_BESIDE_BYTES = 4 * MIB
"""Files of the author's beside one run of a learner's program; the rest is left to the learner."""
OWN_FOLDER = ".xqueue"
MANIFEST_PATH = f"{OWN_FOLDER}/manifest.json"
PLAN_PATH = f"{OWN_FOLDER}/plan.json"
SKIPPED_NAMES = frozenset({"__pycache__", "venv", "node_modules", "Thumbs.db"})
PART = re.compile(r"[^/\\:\x00-\x1f\x7f]{1,200}")
LONGEST_PATH = 400
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
GENERATED = {
    "declared": b"from graders.library.declared import main\n\nmain()\n",
    "gradelib": b"from graders.library.legacy import main\n\nmain()\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    digest: str
    """`sha256:…` of the content."""
    content: bytes = field(repr=False)
    manifest: Manifest
    paths: tuple[str, ...]
    """What travels, in the order of the archive."""
    left_out: tuple[str, ...]
    """What stays at home: samples, hidden files, caches. Folders end with `/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    path: str
    content: bytes
    executable: bool = False


def pack(directory: Path, manifest: Manifest | None = None) -> Bundle:
    """Pack the directory. `manifest` replaces that of its `grader.yaml`, when more is known.

    Raises:
        ManifestInvalid: grader.yaml has mistakes.
        BundleRefused: something in the directory may not travel, or it is too large.
    """
    grader = read_grader_file(directory)
    manifest = manifest or grader.manifest()
    left_out: list[str] = []
    paths = list(_paths(directory, _sample_paths(grader), left_out))
    _require_few(paths, directory)
    _require_room_beside(grader)
    files = {path: _read(directory, path) for path in paths}
    for file in _own_files(grader, manifest):
        files[file.path] = file
    content = _tar_gz([files[path] for path in sorted(files)])
    if len(content) > MAX_BUNDLE_BYTES:
        raise BundleRefused(
            f"{directory} is {len(content)} bytes when packed; at most {MAX_BUNDLE_BYTES} can be "
            f"published. The largest: {_largest(list(files.values()))}. {_INSTEAD}"
        )
    return Bundle(
        digest=digest_of(content),
        content=content,
        manifest=manifest,
        paths=tuple(sorted(files)),
        left_out=tuple(sorted(left_out)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TravellingFile:
    path: str
    """Relative, with `/`."""
    content: bytes = field(repr=False)
    executable: bool


def image_files(grader: GraderFile) -> tuple[TravellingFile, ...]:
    """What a bundle would hold, for an image: of any size, and without a `grade.py` of ours.

    Raises BundleRefused.
    """
    samples = _sample_paths(grader)
    paths = sorted(_paths(grader.directory, samples, []))
    _require_names(paths)
    files = [_read(grader.directory, path) for path in paths]
    files += [file for file in _own_files(grader, grader.manifest()) if file.path != PROGRAM]
    return tuple(
        TravellingFile(path=file.path, content=file.content, executable=file.executable)
        for file in files
    )


_INSTEAD = "Move what the tests do not need out of the directory, or ship an image (a Dockerfile)."


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _sample_paths(grader: GraderFile) -> set[str]:
    samples = {sample.path for sample in grader.samples}
    return samples | {path for sample in grader.samples for path in sample.uploads.values()}


def _paths(directory: Path, samples: set[str], left_out: list[str]) -> Iterator[str]:
    """Relative, with `/`."""
    for folder, subfolders, names in os.walk(directory):
        here = Path(folder).relative_to(directory)
        for name in list(subfolders):
            path = (here / name).as_posix()
            if _stays_at_home(name):
                subfolders.remove(name)
                left_out.append(f"{path}/")
            elif (directory / path).is_symlink():
                raise BundleRefused(f"{path} is a link to a folder; put the folder itself there")
        for name in names:
            path = (here / name).as_posix()
            if _stays_at_home(name) or path in samples:
                left_out.append(path)
            else:
                yield path


def _stays_at_home(name: str) -> bool:
    return name.startswith(".") or name.endswith(("~", ".pyc")) or name in SKIPPED_NAMES


def _require_few(paths: list[str], directory: Path) -> None:
    most = MAX_GRADER_FILES - len(GENERATED) - 1
    if len(paths) > most:
        raise BundleRefused(f"{directory} has {len(paths)} files, at most {most} can be published")
    _require_names(paths)
    sizes = {path: _size(directory, path) for path in paths}
    if sum(sizes.values()) > MAX_GRADER_BYTES:
        largest = max(sizes, key=lambda path: sizes[path])
        raise BundleRefused(
            f"{directory} holds {sum(sizes.values())} bytes, at most {MAX_GRADER_BYTES} can be "
            f"published. The largest file is {largest}. {_INSTEAD}"
        )


def _require_names(paths: list[str]) -> None:
    for path in paths:
        problem = path_refused(path)
        if problem:
            raise BundleRefused(f"{path!r:.120}: {problem}")


def _require_room_beside(grader: GraderFile) -> None:
    tests = [(test.work or {}).get("files", {}) for test in grader.tests] or [{}]
    for number, files in enumerate(tests, start=1):
        beside = {**grader.files, **files}
        total = sum(_size(grader.directory, path) for path in beside.values())
        if total > MAX_BESIDE_BYTES:
            raise BundleRefused(
                f"test {number}: the `files` beside the learner's program are {total} bytes, at "
                f"most {MAX_BESIDE_BYTES} are possible"
            )


def _size(directory: Path, path: str) -> int:
    return _target(directory, path).stat().st_size


def _target(directory: Path, path: str) -> Path:
    """The plain file at that path; a link is followed only inside the directory."""
    target = (directory / path).resolve()
    if not target.is_relative_to(directory.resolve()):
        raise BundleRefused(f"{path} is a link that leads out of the directory")
    if not target.is_file():
        raise BundleRefused(f"{path} is not a plain file")
    return target


def _read(directory: Path, path: str) -> _File:
    target = _target(directory, path)
    try:
        content = target.read_bytes()
    except OSError as error:
        raise BundleRefused(f"{path} cannot be read: {error.strerror}") from error
    return _File(path=path, content=content, executable=bool(target.stat().st_mode & stat.S_IXUSR))


def _own_files(grader: GraderFile, manifest: Manifest) -> Iterator[_File]:
    yield _File(path=MANIFEST_PATH, content=_json(manifest_to_json(manifest)))
    yield _File(path=PLAN_PATH, content=_json(grader.as_json()))
    if not (grader.directory / PROGRAM).is_file():
        kind = "gradelib" if grader.gradelib else "declared"
        yield _File(path=PROGRAM, content=GENERATED[kind])


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def _largest(files: list[_File]) -> str:
    files = sorted(files, key=lambda file: len(file.content), reverse=True)
    return ", ".join(f"{file.path} ({len(file.content)})" for file in files[:3])


def _tar_gz(files: list[_File]) -> bytes:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            info = tarfile.TarInfo(file.path)
            info.size = len(file.content)
            info.mode = 0o755 if file.executable else 0o644
            archive.addfile(info, io.BytesIO(file.content))
    return gzip.compress(inner.getvalue(), compresslevel=9, mtime=0)


def unpack(content: bytes, into: Path) -> Manifest:
    """Write a bundle's files into a new directory and give its manifest.

    Nothing of it is believed: plain files only, each path inside, sizes counted while reading.

    Raises:
        BundleRefused: not a bundle, or one with something in it that may not be there. What has
            been written by then stays; the caller throws the directory away.
        ManifestInvalid: its manifest is not one.
    """
    if len(content) > MAX_BUNDLE_BYTES:
        raise BundleRefused(f"{len(content)} bytes; a bundle has at most {MAX_BUNDLE_BYTES}")
    files = _members(_gunzip(content))
    manifest = _manifest_of(files)
    try:
        into.mkdir(parents=True, exist_ok=False)
        for file in files.values():
            _write(into, file)
    except OSError as error:
        raise BundleRefused(f"the bundle cannot be unpacked: {error}") from error
    return manifest


def manifest_in(content: bytes) -> Manifest:
    """The manifest without unpacking. Raises as `unpack`."""
    return _manifest_of(_members(_gunzip(content)))


def _gunzip(content: bytes) -> bytes:
    """Stops at the most that a bundle can hold, however small the bomb."""
    most = MAX_GRADER_BYTES + MAX_GRADER_FILES * 3 * tarfile.BLOCKSIZE
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        tar = decompressor.decompress(content, most)
    except zlib.error as error:
        raise BundleRefused(f"this is not a bundle: {error}") from error
    if decompressor.unconsumed_tail:
        raise BundleRefused(f"the bundle holds more than {most} bytes")
    if not decompressor.eof or decompressor.unused_data:
        raise BundleRefused("the bundle is cut short, or something follows it")
    return tar


def _members(tar: bytes) -> dict[str, _File]:
    files: dict[str, _File] = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for info in archive:
                if len(files) >= MAX_GRADER_FILES:
                    raise BundleRefused(f"the bundle has more than {MAX_GRADER_FILES} files")
                file = _member(archive, info)
                total += len(file.content)
                if total > MAX_GRADER_BYTES:
                    raise BundleRefused(f"the bundle holds more than {MAX_GRADER_BYTES} bytes")
                if file.path in files:
                    raise BundleRefused(f"the bundle has {file.path!r} twice")
                files[file.path] = file
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise BundleRefused(f"this is not a bundle: {error}") from error
    return files


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> _File:
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.sparse is not None:
        raise BundleRefused(f"{info.name!r:.120} in the bundle is not a plain file")
    problem = path_refused(info.name)
    if problem:
        raise BundleRefused(f"{info.name!r:.120} in the bundle: {problem}")
    reader = archive.extractfile(info)
    assert reader is not None
    content = reader.read()
    if len(content) != info.size:
        raise BundleRefused(f"{info.name!r:.120} in the bundle is cut short")
    return _File(path=info.name, content=content, executable=bool(info.mode & stat.S_IXUSR))


def path_refused(path: str) -> str:
    """Why a path can not be in a bundle; empty when it can."""
    parts = path.split("/")
    if len(path) > LONGEST_PATH:
        return f"its path is longer than {LONGEST_PATH} characters"
    if any(part in ("", ".", "..") for part in parts):
        return "its path is not a plain one inside the directory"
    if not all(PART.fullmatch(part) for part in parts):
        return "its name has a character that not every system knows"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return ""


def _manifest_of(files: dict[str, _File]) -> Manifest:
    if MANIFEST_PATH not in files:
        raise BundleRefused(f"this is not a bundle: it has no {MANIFEST_PATH}")
    try:
        manifest = json.loads(files[MANIFEST_PATH].content)
    except (ValueError, RecursionError) as error:
        raise BundleRefused(f"{MANIFEST_PATH} is not JSON: {error}") from error
    return manifest_from_json(manifest)


def _write(into: Path, file: _File) -> None:
    """A new file in a folder that nobody else has: no link can be in its way."""
    path = into / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o700 if file.executable else 0o600), "wb") as target:
        target.write(file.content)

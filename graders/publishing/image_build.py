"""Makes a grader's image: what the author's Dockerfile builds, and on top of it what the sandbox
needs there.

Two builds. The first is the author's own, from any base. The second adds the supervisor, the
grader library where there is a Python for it, the grader's files under `/grade` for the grader's
user alone, and labels. It runs no program of the image, so that one without a shell is fine, and
all it adds has fixed times and owners: the same directory over the same base is the same image.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import uuid4

from graders.bundle import TravellingFile, image_files
from graders.errors import ImageRefused
from graders.grader_file import DOCKERFILE, GraderFile, read_grader_file
from graders.manifest import Manifest, manifest_to_json
from graders.publishing.docker_program import DockerProgram
from sandbox.backends.docker.image_walk import PRIVATE_LABEL
from sandbox.backends.docker.images import machine_of
from sandbox.backends.docker.settings import GRADER_BASE_IMAGE
from sandbox.supervisor.layout import (
    BOX_DIR,
    GRADE_DIR,
    GRADER_UID,
    LEARNER_TMP_DIR,
    SCRATCH_DIR,
    XQ_PATH,
)

NAME_LABEL = "org.xqueue.grader.name"
MANIFEST_LABEL = "org.xqueue.grader.manifest"
"""SHA-256 of the manifest as compact JSON: a publication can tell a stale image by it."""
SOURCES_LABEL = "org.xqueue.grader.sources"
VERSION_LABEL = "org.xqueue.grader.kit-version"
BASE_LABEL = "org.xqueue.sources"
"""On every image of `deploy/docker/build.sh`, and inherited by what is built from one."""
OLDEST_PYTHON = (3, 11)
ENTRY = "grade"
ADDED = """\
ARG AUTHORS
FROM {base} AS base
FROM ${{AUTHORS}}
USER 0:0
COPY --from=base {source} {source}
ADD files.tar /
WORKDIR /
ENTRYPOINT ["{xq}", "--container"]
CMD []
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """`image_id` pins it on this host."""

    image_id: str
    sources: str
    """First digits of the hash of the grader's files: a tag that changes with them."""
    manifest: Manifest


def build_image(directory: Path, docker: DockerProgram) -> BuiltImage:
    """Build it, or find it built: the engine's cache knows what has not changed.

    Whether it is closed to learners is for the sandbox to say (`examine`).

    Raises:
        ManifestInvalid, BundleRefused: there is nothing to build yet.
        ImageRefused: it does not build, or its base can not be one of a grader.
        NoSandbox: no engine answers.
    """
    grader = read_grader_file(directory)
    if grader.tier != 2:
        raise ImageRefused(f"{directory} has no {DOCKERFILE}: it needs no image")
    files = _layer(image_files(grader))
    machine = _machine_of_base(docker)
    tag = f"xqueue/building-{grader.name}:{uuid4().hex}"
    try:
        _build_authors(directory, tag, docker)
        _require_usable(docker, tag)
        _require_machine(docker, tag, machine)
        image_id = _build_added(grader, tag, files, docker)
    finally:
        # The layers stay with the image made from it; with the name goes what has none.
        if docker.find_image(tag) is not None:
            docker.run("image", "rm", "--no-prune", tag, failing="removing a name")
    return BuiltImage(image_id=image_id, sources=_sha256(files)[:12], manifest=grader.manifest())


def manifest_digest(manifest: Manifest) -> str:
    """Whatever image it is bound to."""
    document = manifest_to_json(manifest) | {"image": None}
    return f"sha256:{_sha256(json.dumps(document, sort_keys=True).encode())}"


def _build_authors(directory: Path, tag: str, docker: DockerProgram) -> None:
    """Its context is the whole directory; what shall not be there, `.dockerignore` keeps out."""
    network = ("--network", docker.build_network) if docker.build_network else ()
    docker.follow(
        "build",
        "--force-rm",  # a step that fails would leave its container
        *network,
        *("--tag", tag, "--file", str(directory / DOCKERFILE), str(directory)),
        failing=f"{directory / DOCKERFILE} does not build",
    )


def _machine_of_base(docker: DockerProgram) -> str:
    """The kind of machine that the supervisor was compiled for. Raises ImageRefused."""
    base = docker.find_image(GRADER_BASE_IMAGE)
    if base is None:
        raise ImageRefused(
            f"the image {GRADER_BASE_IMAGE}, of which every grader gets the supervisor, is not on "
            "this machine: load it (docker load) or build it from the project's sources "
            "(deploy/docker/build.sh base)"
        )
    return machine_of(base.get("Os"), base.get("Architecture"))


def _require_machine(docker: DockerProgram, tag: str, machine: str) -> None:
    """Its supervisor would not start anywhere."""
    described = _described(docker, tag)
    made_for = machine_of(described.get("Os"), described.get("Architecture"))
    if made_for != machine:
        raise ImageRefused(
            f"the {DOCKERFILE} makes an image for {made_for}, and the supervisor that is added to "
            f"it here is for {machine}. Leave out `--platform`, and build images for {made_for} on "
            "a machine of that kind"
        )


def _require_usable(docker: DockerProgram, tag: str) -> None:
    config = _config_of(docker, tag)
    if config.get("Volumes"):
        names = ", ".join(config["Volumes"])
        raise ImageRefused(
            f"the image declares the volumes {names}: learners' programs could fill the host's "
            "disk through them. Remove VOLUME from the Dockerfile, or take another base"
        )
    if config.get("OnBuild"):
        raise ImageRefused("the image has ONBUILD steps; a grader's can not. Remove them")


def _described(docker: DockerProgram, reference: str) -> Mapping[str, Any]:
    described = docker.find_image(reference)
    if described is None:
        raise ImageRefused(f"{reference} has disappeared while it was built; try again")
    return described


def _config_of(docker: DockerProgram, reference: str) -> Mapping[str, Any]:
    return _described(docker, reference).get("Config") or {}


def _build_added(grader: GraderFile, tag: str, files: bytes, docker: DockerProgram) -> str:
    source = str(Path(XQ_PATH).parent) if _has_python(docker, tag) else XQ_PATH
    dockerfile = ADDED.format(base=GRADER_BASE_IMAGE, source=source, xq=XQ_PATH)
    labels = [
        option
        for name, value in _labels(grader, files).items()
        for option in ("--label", f"{name}={value}")
    ]
    with tempfile.TemporaryDirectory(prefix="graders-build-") as folder:
        id_file = Path(folder, "image")
        docker.run(
            "build",
            *("--network", "none", "--build-arg", f"AUTHORS={tag}", *labels),
            *("--iidfile", str(id_file), "-"),
            stdin=_context({"Dockerfile": dockerfile.encode(), "files.tar": files}),
            failing="the supervisor can not be added to the image",
        )
        return id_file.read_text(encoding="utf-8").strip()


def _labels(grader: GraderFile, files: bytes) -> dict[str, str]:
    return {
        NAME_LABEL: grader.name,
        MANIFEST_LABEL: manifest_digest(grader.manifest()),
        SOURCES_LABEL: f"sha256:{_sha256(files)}",
        VERSION_LABEL: _kit_version(),
        PRIVATE_LABEL: json.dumps(list(grader.private)),
    }


def _has_python(docker: DockerProgram, tag: str) -> bool:
    """One that the library runs on. Asked as nobody, without network, before anybody learns."""
    if BASE_LABEL in (_config_of(docker, tag).get("Labels") or {}):
        return True
    try:
        said = docker.run(
            *("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"),
            *("--security-opt=no-new-privileges", "--user=65534:65534", "--memory=256m"),
            *("--pids-limit=16", "--entrypoint=python3", tag, "-I", "-c"),
            "import sys; print(*sys.version_info[:2])",
            failing="no Python",
        )
        return tuple(int(number) for number in said.split()) >= OLDEST_PYTHON
    except (ImageRefused, ValueError):
        return False


def _layer(files: tuple[TravellingFile, ...]) -> bytes:
    """The grader's files with their owner and modes, and the places where tmpfs go."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in (BOX_DIR, SCRATCH_DIR):
            archive.addfile(_folder(folder, mode=0o700, owner=0))
        archive.addfile(_folder(LEARNER_TMP_DIR, mode=0o1777, owner=0))
        for folder in (GRADE_DIR, *_folders_of(files)):
            archive.addfile(_folder(folder, mode=0o700, owner=GRADER_UID))
        for file in files:
            info = tarfile.TarInfo(f"{GRADE_DIR}/{file.path}".lstrip("/"))
            info.size = len(file.content)
            # Where files have no such bit, the entry point has it all the same.
            info.mode = 0o700 if file.executable or file.path == ENTRY else 0o600
            info.uid = info.gid = GRADER_UID
            archive.addfile(info, io.BytesIO(file.content))
    return inner.getvalue()


def _folders_of(files: tuple[TravellingFile, ...]) -> list[str]:
    """Parents before their children."""
    found = {
        f"{GRADE_DIR}/{parent.as_posix()}"
        for file in files
        for parent in Path(file.path).parents
        if parent != Path()
    }
    return sorted(found)


def _folder(path: str, *, mode: int, owner: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.type, info.mode = tarfile.DIRTYPE, mode
    info.uid = info.gid = owner
    return info


def _context(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _kit_version() -> str:
    try:
        return metadata.version("xqueue-grader")
    except metadata.PackageNotFoundError:
        return "unknown"

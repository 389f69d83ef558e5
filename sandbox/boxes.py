"""What a bubblewrap box is: one implementation for boxes on a host and for those in a slot.

The supervisor opens the boxes; here it is said what they see, and what they may ask of the kernel.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxUnavailable
from sandbox.seccomp import NoFilterForMachine, box_filter
from sandbox.supervisor.frames import pack_bytes

INSIDE_ID = "10002"
"""User and group as a program in a box sees itself."""
READ_ONLY_FILES = ("/etc/alternatives", "/etc/ld.so.cache")
"""What programs of /usr need outside of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxPrograms:
    """The programs that open boxes and run in them, where boxes are opened."""

    bwrap: str
    python: Path
    """Readable for everyone: a box runs as a uid that owns nothing."""
    system_folders: tuple[str, ...]
    """Options that make /bin, /lib and /lib64 what they are there."""
    configuration: tuple[str, ...] = ()
    """Paths below /etc that programs of /usr need there, beside `READ_ONLY_FILES`."""
    can_disable_userns: bool
    """Whether bubblewrap has --disable-userns and the kernel's setting for it is writable."""

    @property
    def python_prefix(self) -> Path:
        """What a box needs of an interpreter outside of /usr."""
        return self.python.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOwners:
    """Host uids and control groups of the two boxes of one run."""

    grader_uid: int | None = None
    """None where the launcher is not root: the box then shares the launcher's own."""
    learner_uid: int | None = None
    grader_cgroups: tuple[str, ...] = ()
    learner_cgroups: tuple[str, ...] = ()
    memory_is_bounded: bool
    """Whether memory is bounded for a whole box, and not only for each process."""
    memory_is_shared: bool = False
    """Whether both boxes draw on one limit, that of the slot they are in."""
    memory_counters: tuple[str, ...] = ()
    """Files beside those of the groups that count what the kernel killed for memory."""


def box_isolation(
    programs: BoxPrograms,
    owners: BoxOwners,
    *,
    hidden: Path | None = None,
    grader_options: Sequence[str] = (),
) -> dict[str, Any]:
    """The start frame's `isolation`: all that a supervisor must know to open both boxes.

    `hidden` is the grader's directory where it may lie among what boxes see; `grader_options`
    are for the grader's box alone. Raises SandboxUnavailable on a machine without a filter.
    """
    return {
        "bwrap": programs.bwrap,
        "options": [*box_options(programs), *(_hiding(hidden, programs) if hidden else ())],
        "grader_options": list(grader_options),
        "python": str(programs.python),
        "seccomp": _system_call_filter(),
        "grader_uid": owners.grader_uid,
        "learner_uid": owners.learner_uid,
        "grader_cgroups": list(owners.grader_cgroups),
        "learner_cgroups": list(owners.learner_cgroups),
        "memory_is_bounded": owners.memory_is_bounded,
        "memory_is_shared": owners.memory_is_shared,
        "memory_counters": list(owners.memory_counters),
    }


@cache
def _system_call_filter() -> str:
    """For this machine, which a slot's is as well."""
    try:
        return pack_bytes(box_filter(platform.machine()))
    except NoFilterForMachine as error:
        raise SandboxUnavailable(str(error)) from error


def box_options(programs: BoxPrograms) -> list[str]:
    """What every box has: nothing of the host but read-only programs, and no way out."""
    options = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    if programs.can_disable_userns:
        options.append("--disable-userns")
    options += ["--cap-drop", "ALL", "--clearenv", "--hostname", "box", "--uid", INSIDE_ID]
    options += ["--gid", INSIDE_ID, "--ro-bind", "/usr", "/usr", *programs.system_folders]
    for path in (*READ_ONLY_FILES, *programs.configuration):
        options += ["--ro-bind-try", path, path]
    if not programs.python.is_relative_to("/usr"):
        options += ["--ro-bind", str(programs.python_prefix), str(programs.python_prefix)]
    return [*options, "--proc", "/proc", *_devices()]


def _devices() -> list[str]:
    """As bubblewrap's --dev, but without pseudo-terminals: the whole host has one pool of them."""
    options = ["--tmpfs", "/dev"]
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        options += ["--dev-bind-try", f"/dev/{name}", f"/dev/{name}"]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        options += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    return [*options, "--symlink", "/proc/self/fd", "/dev/fd", "--dir", "/dev/shm"]  # noqa: S108 - a box's


def _hiding(grader: Path, programs: BoxPrograms) -> list[str]:
    """An empty folder over a grader that lies where boxes see the host's programs."""
    if not any(grader.is_relative_to(seen) for seen in ("/usr", programs.python_prefix)):
        return []
    path = str(grader)
    return ["--perms", "0000", "--size", "4096", "--tmpfs", path, "--remount-ro", path]


def forbids_user_namespaces(proc_sys: Path = Path("/proc/sys")) -> str | None:
    """The sentence for an operator whose kernel refuses user namespaces, or None."""
    for path, closed in (
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        with suppress(OSError):
            if (proc_sys / path).read_text().strip() == closed:
                setting = path.replace("/", ".")
                return f"this host forbids user namespaces: {setting} is {closed}; change it"
    return None

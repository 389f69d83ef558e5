"""What every hostile program begins and ends with, in its language.

`GAINED what` on stdout is something that must not have been possible, `ATTACKED` at the end says
that the program came through: without it a case that crashed at its first line would pass.
"""

from __future__ import annotations

from sandbox.hostile.case import Language

GAINED = "GAINED "
ATTACKED = "ATTACKED"

PYTHON = r'''
import ctypes, errno, os, sys
def say(text):
    try:
        os.write(1, (text + "\n").encode(errors="replace"))
    except OSError:
        pass
def gained(what):
    say("GAINED " + what)
def attempt(what, call, *arguments):
    """Anything but an error is a gain."""
    try:
        call(*arguments)
    except (OSError, ValueError, OverflowError):
        return
    gained(what)
libc = ctypes.CDLL(None, use_errno=True)
ARM = os.uname().machine == "aarch64"
NUMBERS = {  # name: (x86_64, aarch64)
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "chroot": (161, 51), "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "finit_module": (313, 273),
    "fsopen": (430, 430), "get_robust_list": (274, 100), "init_module": (175, 105),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_uring_setup": (425, 425),
    "ioperm": (173, None), "iopl": (172, None), "ioprio_set": (251, 30), "kcmp": (312, 272),
    "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "migrate_pages": (256, 238),
    "modify_ldt": (154, None), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "perf_event_open": (298, 241),
    "personality": (135, 92), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pivot_root": (155, 41), "prlimit64": (302, 261),
    "process_madvise": (440, 440), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142), "request_key": (249, 218),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "setdomainname": (171, 162),
    "sethostname": (170, 161), "setns": (308, 268), "settimeofday": (164, 170),
    "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39),
    "unshare": (272, 97), "uselib": (134, None), "userfaultfd": (323, 282), "vhangup": (153, 58),
}
REFUSED = (errno.EPERM, errno.ENOSYS, errno.EACCES)
def call(name, *arguments):
    """(result, errno) of a system call."""
    number = NUMBERS[name][ARM]
    if number is None:
        return -1, errno.ENOSYS
    ctypes.set_errno(0)
    arguments = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return libc.syscall(ctypes.c_long(number), *arguments), ctypes.get_errno()
def must_be_refused(name, *arguments):
    """Refused for lack of rights, before the kernel has looked at the arguments."""
    result, error = call(name, *arguments)
    if result >= 0 or error not in REFUSED:
        what = "worked" if result >= 0 else "got " + errno.errorcode.get(error, str(error))
        gained(name + " " + what)
def must_fail(name, *arguments):
    result, error = call(name, *arguments)
    if result >= 0:
        gained(name + " worked")
def pids():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
def uid_of(pid):
    try:
        with open("/proc/%d/status" % pid) as file:
            return int(file.read().split("Uid:")[1].split()[0])
    except (OSError, IndexError):
        return None
def others():
    """Processes that are not ours: those of another uid."""
    return [pid for pid in pids() if uid_of(pid) not in (None, os.getuid())]
'''

SHELL = r"""
gained() { echo "GAINED $*"; }
"""

C = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
static void say(const char *text) { if (write(1, text, strlen(text)) < 0) return; }
static void gained(const char *what) { say("GAINED "); say(what); say("\n"); }
"""

_AROUND = {
    Language.PYTHON: (PYTHON, 'say("ATTACKED")\n'),
    Language.SHELL: (SHELL, "echo ATTACKED\n"),
    Language.C: (C, ""),
}


def whole_source(source: str, language: Language) -> str:
    """The source with its beginning and its end; C programs say ATTACKED themselves."""
    beginning, end = _AROUND[language]
    return f"{beginning}\n{source}\n{end}"


def gains_in(stdout: str) -> list[str]:
    return [line.removeprefix(GAINED) for line in stdout.splitlines() if line.startswith(GAINED)]


def came_through(stdout: str) -> bool:
    return ATTACKED in stdout.splitlines()

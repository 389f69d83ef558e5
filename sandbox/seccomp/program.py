"""The table as a classic BPF program, for `bwrap --seccomp FD`.

The program is a decision tree over the call's number, so that no call costs more than a handful
of comparisons. Layout of what it reads (`struct seccomp_data`) and of an instruction (`struct
sock_filter`): linux/seccomp.h and linux/filter.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.seccomp.arguments import WHOLE, ArgumentRule, Condition
from sandbox.seccomp.policy import Place, Verdict, verdict
from sandbox.seccomp.table import TABLE

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""linux/audit.h. Both are little endian, so the low half of an argument comes first."""
NUMBER_OFFSET = 0
ARCH_OFFSET = 4
ARGUMENTS_OFFSET = 16

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
JUMP = 0x05  # BPF_JMP | BPF_JA
JUMP_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

KILL_PROCESS = 0x80000000
ERROR = 0x00050000
ALLOW = 0x7FFF0000
FARTHEST_CONDITIONAL = 255
MOST_INSTRUCTIONS = 4096

UNKNOWN = Verdict(error=errno.ENOSYS)
"""Of numbers beyond the table, x32's (from 2**30) among them."""


class NoFilterForMachine(Exception):
    """The table has no numbers for this machine."""


@dataclass(frozen=True, slots=True)
class Instruction:
    code: int
    operand: int
    if_true: int = 0
    if_false: int = 0

    def pack(self) -> bytes:
        return struct.pack("<HBBI", self.code, self.if_true, self.if_false, self.operand)


Block = list[Instruction]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """Numbers from `first` up to the next range, which share a verdict."""

    first: int
    verdict: Verdict


def box_filter(machine: str) -> bytes:
    """An array of `struct sock_filter` for programs in a box on that machine (`uname -m`).

    Raises:
        NoFilterForMachine: neither x86_64 nor aarch64.
    """
    if machine not in AUDIT_ARCH:
        raise NoFilterForMachine(f"there is no system call filter for {machine} machines")
    program: Block = [
        Instruction(LOAD, ARCH_OFFSET),
        Instruction(JUMP_IF_EQUAL, AUDIT_ARCH[machine], if_true=1),
        Instruction(RETURN, KILL_PROCESS),
        Instruction(LOAD, NUMBER_OFFSET),
        *_decide(_ranges(machine)),
    ]
    assert len(program) <= MOST_INSTRUCTIONS
    return b"".join(instruction.pack() for instruction in program)


def _ranges(machine: str) -> list[_Range]:
    by_number = {
        call.numbers[machine]: verdict(call, Place.BOX) for call in TABLE if machine in call.numbers
    }
    ranges: list[_Range] = []
    for number in range(max(by_number) + 2):
        found = by_number.get(number, UNKNOWN)
        if not ranges or ranges[-1].verdict != found:
            ranges.append(_Range(first=number, verdict=found))
    return ranges


def _decide(ranges: Sequence[_Range]) -> Block:
    """A tree that ends in each range's answer; the number is loaded."""
    if len(ranges) == 1:
        return _answer(ranges[0].verdict)
    middle = len(ranges) // 2
    below, from_middle_on = _decide(ranges[:middle]), _decide(ranges[middle:])
    first = ranges[middle].first
    if len(below) <= FARTHEST_CONDITIONAL:
        return [
            Instruction(JUMP_IF_AT_LEAST, first, if_true=len(below)),
            *below,
            *from_middle_on,
        ]
    return [
        Instruction(JUMP_IF_AT_LEAST, first, if_false=1),
        Instruction(JUMP, len(below)),
        *below,
        *from_middle_on,
    ]


def _answer(found: Verdict) -> Block:
    if found.arguments is not None:
        return _by_arguments(found.arguments)
    return [Instruction(RETURN, ALLOW if found.error is None else ERROR | found.error)]


def _by_arguments(rule: ArgumentRule) -> Block:
    block: Block = []
    loaded: Condition | None = None
    """Whose argument and mask made what is loaded, however the code got here."""
    for alternative in rule.alternatives:
        block += _alternative(alternative, loaded)
        loaded = alternative[0] if len(alternative) == 1 else None
    return [*block, Instruction(RETURN, ERROR | rule.otherwise)]


def _alternative(conditions: Sequence[Condition], loaded: Condition | None) -> Block:
    """Returns ALLOW when all conditions hold, or else falls through."""
    block: Block = [Instruction(RETURN, ALLOW)]
    for condition in reversed(conditions):
        test = Instruction(JUMP_IF_EQUAL, condition.value, if_false=len(block))
        block = [*_load(condition, loaded if condition is conditions[0] else None), test, *block]
    return block


def _load(condition: Condition, loaded: Condition | None) -> Block:
    if loaded and (loaded.argument, loaded.mask) == (condition.argument, condition.mask):
        return []
    load = Instruction(LOAD, ARGUMENTS_OFFSET + 8 * condition.argument)
    if condition.mask == WHOLE:
        return [load]
    return [load, Instruction(AND, condition.mask)]

"""A classic BPF machine, as far as system call filters use one, written from linux/filter.h."""

from __future__ import annotations

import struct

LOAD, AND, JUMP, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x54, 0x05, 0x15, 0x35, 0x06
DATA = struct.Struct("<IIQ6Q")
"""`struct seccomp_data`: number, architecture, instruction pointer, six arguments."""
KILL_PROCESS = "kill"
ALLOW = "allow"


class BpfMachine:
    """Runs one program; refuses what a kernel would."""

    def __init__(self, program: bytes) -> None:
        self._code = list(struct.iter_unpack("<HBBI", program))
        assert 0 < len(self._code) <= 4096
        self.most_steps = 0

    def answer(self, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int | str:
        """`allow`, `kill` or an error number."""
        padded = (*arguments, *([0] * (6 - len(arguments))))
        data = DATA.pack(number, arch, 0x7F0000000000, *padded)
        position, register, steps = 0, 0, 0
        while True:
            code, if_true, if_false, operand = self._code[position]
            position += 1
            steps += 1
            if code == LOAD:
                assert operand % 4 == 0
                (register,) = struct.unpack_from("<I", data, operand)
            elif code == AND:
                register &= operand
            elif code == JUMP:
                position += operand
            elif code == JUMP_IF_EQUAL:
                position += if_true if register == operand else if_false
            elif code == JUMP_IF_AT_LEAST:
                position += if_true if register >= operand else if_false
            elif code == RETURN:
                self.most_steps = max(self.most_steps, steps)
                return self._meaning(operand)
            else:
                raise AssertionError(f"an instruction no filter of ours has: {code:#x}")

    @staticmethod
    def _meaning(operand: int) -> int | str:
        if operand == 0x7FFF0000:
            return ALLOW
        if operand == 0x80000000:
            return KILL_PROCESS
        assert operand >> 16 == 5, f"{operand:#x}"
        return operand & 0xFFFF

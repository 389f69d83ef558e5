"""The part of Avro's binary encoding that these events need (Apache Avro 1.11, "Binary Encoding"):
records of strings, longs, booleans, other records, and what may be null.

A record is its fields one after the other, without names, so that a list of values in the order of
the schema says everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

LONG_BITS = 64
Value: TypeAlias = "str | int | bool | Record | Nullable"


@dataclass(frozen=True, slots=True)
class Record:
    """The values of a record's fields, in the schema's order."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Nullable:
    """A value of the union ["null", something]."""

    value: Value | None


def encoded(value: Value) -> bytes:
    """Raises: OverflowError: a number that is no Avro long."""
    match value:
        case bool():
            return b"\x01" if value else b"\x00"
        case int():
            return _long(value)
        case str():
            text = value.encode()
            return _long(len(text)) + text
        case Nullable(inner):
            return _long(0) if inner is None else _long(1) + encoded(inner)
        case Record(values):
            return b"".join(encoded(each) for each in values)


def record(*values: Value) -> Record:
    return Record(values)


def _long(number: int) -> bytes:
    """Zigzag, seven bits to a byte, the lowest first."""
    if not -(1 << (LONG_BITS - 1)) <= number < 1 << (LONG_BITS - 1):
        raise OverflowError(f"{number} is no Avro long")
    rest = (number << 1) ^ (number >> (LONG_BITS - 1))
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)

"""The program as it is built: static, small, quick; its parsers under hostile input."""

import struct
import subprocess

from tests.supervisor.harness import TOP

LOADED, INTERPRETER = 1, 3
"""Kinds of ELF program headers."""
SUPERVISOR = TOP / "sandbox" / "supervisor"


def test_it_needs_nothing_of_an_image(xq):
    content = xq.read_bytes()
    (headers_at,) = struct.unpack_from("<Q", content, 0x20)
    size, count = struct.unpack_from("<HH", content, 0x36)
    kinds = [struct.unpack_from("<I", content, headers_at + size * n)[0] for n in range(count)]
    assert LOADED in kinds
    assert INTERPRETER not in kinds
    assert len(content) < 2 << 20


def test_building_again_changes_nothing(xq):
    before = xq.stat().st_mtime_ns
    done = subprocess.run([SUPERVISOR / "build.sh"], capture_output=True, text=True, check=True)
    assert (done.stdout, xq.stat().st_mtime_ns) == ("", before)


def test_the_parsers_survive_hostile_input_under_the_sanitizers(xq):
    done = subprocess.run(
        [SUPERVISOR / "build.sh", "test", "20000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "20000 rounds\n"


def test_where_things_are_is_said_alike_in_both_languages():
    from sandbox.supervisor import layout

    said = dict(
        line.split(maxsplit=2)[1:]
        for line in (SUPERVISOR / "layout.h").read_text().splitlines()
        if line.startswith("#define ") and len(line.split(maxsplit=2)) == 3
    )
    for name in vars(layout):
        if name.isupper() and name != "XQ":
            value = getattr(layout, name)
            written = said[name].strip('"') if isinstance(value, str) else eval(said[name])
            assert written == value, name

"""Our own look at the first bytes, against qemu's own guess at the same bytes."""

from __future__ import annotations

import json
import random
import re
import struct
import subprocess

import pytest

from precache.rules.qemu_probe import HEAD_BYTES, probe

VERSION = b"version=1\nCID=fffffffe\nparentCID=ffffffff\n"

DISGUISED = {
    "qcow": b"QFI\xfb\0\0\0\1",
    "qcow2": b"QFI\xfb\0\0\0\2",
    "qcow2, version 3": b"QFI\xfb\0\0\0\3",
    "qed": b"QED\0",
    "vmdk 3": b"COWD",
    "vmdk 4": b"KDMV",
    "vmdk descriptor": b"# Disk DescriptorFile\n" + VERSION,
    "vmdk descriptor with a byte that is not ASCII": b"# \xff\n" + VERSION,
    "vmdk descriptor without comments": VERSION,
    "vmdk descriptor behind blank lines": b"   \n  \n# x\n  \r\n" + VERSION,
    "vmdk descriptor, other line ends": b"# \0\r\nversion=3\r\n",
    "vmdk descriptor, a long comment": b"#" + b"\x80" * 480 + b"\nversion=2\n",
    "vdi": bytes(64) + struct.pack("<I", 0xBEDA107F),
    "vhdx": b"vhdxfile",
    "vpc": b"conectix",
    "luks": b"LUKS\xba\xbe\0\1",
    "parallels": b"WithoutFreeSpace" + struct.pack("<I", 2) + bytes(44),
    "parallels, extended": b"WithouFreSpacExt" + struct.pack("<I", 2) + bytes(44),
    "bochs": b"Bochs Virtual HD Image".ljust(32, b"\0") + b"Redolog".ljust(16, b"\0") + b"Growing".ljust(16, b"\0")
    + struct.pack("<I", 0x00020000),
    "cloop": b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n",
}  # fmt: skip


def guess_of_qemu(path, content: bytes) -> str:
    """Return what qemu takes the content for: the format it finds, or the one that it fails to open."""
    path.write_bytes(content.ljust(HEAD_BYTES, b"\0"))
    run = subprocess.run(
        ["qemu-img", "info", "--output=json", str(path)], capture_output=True, text=True, check=False, timeout=20
    )
    return json.loads(run.stdout)["format"] if run.returncode == 0 else f"refused: {run.stderr}"


@pytest.mark.parametrize("name", DISGUISED)
def test_nothing_is_detected_as_raw_that_qemu_detects_as_a_format(tmp_path, name):
    assert guess_of_qemu(tmp_path / "content", DISGUISED[name]) != "raw"

    found = probe(DISGUISED[name].ljust(HEAD_BYTES, b"\0"))

    assert found == re.split("[ ,]", name)[0]


def test_mutated_headers_are_never_detected_as_raw_if_qemu_detects_a_format(tmp_path):
    chance = random.Random(20)
    for content in DISGUISED.values():
        changed = bytearray(content[:512])
        changed[chance.randrange(len(changed))] = chance.randrange(256)
        if probe(bytes(changed).ljust(HEAD_BYTES, b"\0")) == "raw":
            assert guess_of_qemu(tmp_path / "content", bytes(changed)) == "raw", bytes(changed)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(HEAD_BYTES),
        bytes(510) + b"\x55\xaa",
        b"#!/bin/sh\necho version=1\n",
        b"# a comment and nothing else",
        b"\x7fELF" + VERSION,
        bytes(512) + b"EFI PART",
        b"\xeb\x63\x90" + b"GRUB" + bytes(500),
    ],
)
def test_other_content_is_raw_to_both(tmp_path, content):
    assert guess_of_qemu(tmp_path / "content", content) == "raw"
    assert probe(content) == "raw"


def test_a_comment_without_end_is_looked_at_in_linear_time():
    assert probe(b"#" * HEAD_BYTES) == "raw"
    assert probe(b"\n#" * (HEAD_BYTES // 2)) == "raw"
    assert probe(b" " * HEAD_BYTES) == "raw"

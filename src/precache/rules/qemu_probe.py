"""The format that qemu would guess for some content: qemu's own probes, but stricter.

qemu's probes read the first 512 bytes (block/*.c, `bdrv_probe`). A program that opens a file without a given format
follows what such a header names, so content must never be one format for us and another for qemu. Where qemu also
checks a version or the rest of the header, only the magic counts here. So content may be refused that qemu calls raw,
but no content is called raw here that is not raw to qemu. Two of its probes use only the file's name (`.dmg`, and
`.vhd` in some releases); none of our files has such a name.
"""

from __future__ import annotations

import re

RAW = "raw"

HEAD_BYTES = 4096
"""How much of the start is read; qemu reads 512 bytes."""

_QCOW_MAGIC = b"QFI\xfb"
_VDI_SIGNATURE = b"\x7f\x10\xda\xbe"
_VDI_SIGNATURE_AT = 64

_MAGICS = (
    (b"QED\0", "qed"),
    (b"KDMV", "vmdk"),
    (b"COWD", "vmdk"),
    (b"conectix", "vpc"),
    (b"vhdxfile", "vhdx"),
    (b"LUKS\xba\xbe", "luks"),
    (b"WithoutFreeSpace", "parallels"),
    (b"WithouFreSpacExt", "parallels"),
    (b"Bochs Virtual HD Image", "bochs"),
    (b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
)

_VMDK_DESCRIPTOR = re.compile(rb"(?:#[^\n]*+(?:\n|\Z)|[ \t\r\n])*+(?:version[ \t]*=|createType[ \t]*=)", re.IGNORECASE)
"""Comments and blank lines, in any bytes, then the first entry of a VMDK's text descriptor.

The quantifiers are possessive, because the content may be hostile: the pattern never backtracks."""

_VMDK_FIRST_LINE = b"# Disk Descriptor"


def probe(head: bytes) -> str:
    """Return qemu's name for the format of content that starts with `head`; `raw` if no probe matches.

    head: the first HEAD_BYTES, or all of the content if it is shorter.
    """
    if head.startswith(_QCOW_MAGIC):
        return "qcow" if head[4:8] == b"\0\0\0\1" else "qcow2"
    for magic, name in _MAGICS:
        if head.startswith(magic):
            return name
    if head[_VDI_SIGNATURE_AT : _VDI_SIGNATURE_AT + len(_VDI_SIGNATURE)] == _VDI_SIGNATURE:
        return "vdi"
    if head.startswith(_VMDK_FIRST_LINE) or _VMDK_DESCRIPTOR.match(head):
        return "vmdk"
    return RAW

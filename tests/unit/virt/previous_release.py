"""A host's instances directory as the previous release left it, byte for byte: what it wrote, it is not written by the
code that is tested.

It had records of version 1 only, for entries that were kept for a time; all others had none.
"""

from __future__ import annotations

import os
import struct
from datetime import UTC, datetime
from pathlib import Path

from precache.core.images import Digest, Image, ImageId

CACHED_AT = datetime(2026, 1, 1, tzinfo=UTC)

WEB = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")  # an entry without a record
KEPT = ImageId("fd0cb2f1-8375-44c9-b1f4-3e1f4c4a8ef0")  # kept until KEPT_UNTIL
OVER = ImageId("0e7761dd-ee98-41f0-ba35-05994e446431")  # was kept until the next day; below a guest's disk
PAUSED = ImageId("b8d0ab6b-0e5a-4a7d-9a39-3f3a0a2a2d10")  # a paused download, of which 300 bytes are there

KEPT_UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
PAUSED_BYTES = 300
PAUSED_JOB = "0b6f3c5a-9a44-4f0a-8f0e-0a8a0f3c2a11"

_WEB_DATA = b"the disk of web: " * 32
_KEPT_DATA = b"the disk of kept: " * 32
_OVER_DATA = b"the disk of over: " * 32
PAUSED_DATA = b"the disk of paused: " * 32

ENTRY = {
    WEB: "f2d1a8250ed3d4b744a8250dab8f6840179d502a",
    KEPT: "0d5e6b61602d758984b3bf038267614d6016eb2a",
    OVER: "24d19d40d973650dd536fa222ceb242fd22f6388",
    PAUSED: "07a3ec6507d656fe314b0dce94d1c853de40fdf5",
}
GUEST = "guests/web1.qcow2"
DEAD = "bd385643492c5708ed799a2733d13d49ee80a79d"

FILES = {
    f"_base/{ENTRY[WEB]}": _WEB_DATA,
    f"_base/{ENTRY[KEPT]}": _KEPT_DATA,
    f"_base/{ENTRY[KEPT]}.precache": (
        b'{"version": 1, "image": "fd0cb2f1-8375-44c9-b1f4-3e1f4c4a8ef0", "kept_until": "2026-03-01T00:00:00+00:00"}\n'
    ),
    f"_base/{ENTRY[OVER]}": _OVER_DATA,
    f"_base/{ENTRY[OVER]}.precache": (
        b'{"version": 1, "image": "0e7761dd-ee98-41f0-ba35-05994e446431", "kept_until": "2026-01-02T00:00:00+00:00"}\n'
    ),
    f"_base/{ENTRY[OVER]}.overlays": (
        b'{"path": "{instances}/guests/web1.qcow2", "directory": "3225ce19289b69d674639b34cd004392"}\n'
    ),
    f"_base/{ENTRY[PAUSED]}.precache-kept-data": PAUSED_DATA[:PAUSED_BYTES],
    f"_base/{ENTRY[PAUSED]}.precache-kept-record": (
        b'{"image": "b8d0ab6b-0e5a-4a7d-9a39-3f3a0a2a2d10", "size_bytes": 640, "digest": "sha512:'
        b"5f14cf802cfe01ccce649a3855f782cd0bef84f03a40d65c98bf54eb9692b1fc5208b188d9e34828bb7fc23afb152b70"
        b"ba96e4193371eb4a4d4ecec6b6368ea2"
        b'", "received_bytes": 300, "kept_at": "2026-01-01T00:00:00+00:00", "jobs": '
        b'["0b6f3c5a-9a44-4f0a-8f0e-0a8a0f3c2a11"]}'
    ),
    "locks/nova-f2d1a8250ed3d4b744a8250dab8f6840179d502a": b"",
    "locks/nova-0d5e6b61602d758984b3bf038267614d6016eb2a": b"",
    "locks/nova-24d19d40d973650dd536fa222ceb242fd22f6388": b"",
    "locks/nova-07a3ec6507d656fe314b0dce94d1c853de40fdf5": b"",
    "locks/nova-bd385643492c5708ed799a2733d13d49ee80a79d": b"",
    "guests/.precache-directory": b"3225ce19289b69d674639b34cd004392\n",
}

LEFT_BY_A_KILL = {
    f"_base/{DEAD}.precache-eb218aed-lock": b"",
    f"_base/{DEAD}.precache-eb218aed-download": b"half",
    f"_base/{DEAD}.precache-eb218aed-raw": b"",
}

PAUSED_IMAGE = Image(
    id=PAUSED,
    name="paused",
    status="active",
    disk_format="raw",
    size_bytes=len(PAUSED_DATA),
    digest=Digest.parse(
        "sha512",
        "5f14cf802cfe01ccce649a3855f782cd0bef84f03a40d65c98bf54eb9692b1fc5208b188d9e34828bb7fc23afb152b70"
        "ba96e4193371eb4a4d4ecec6b6368ea2",
    ),
)


def disk_on(entry: Path) -> bytes:
    """Return the header of a guest's disk whose base is the entry, as in every qcow2 file of version 2."""
    base = os.fsencode(entry)
    return (
        b"QFI\xfb" + struct.pack(">IQIIQIIQQIIQ", 2, 72, len(base), 16, 1 << 30, 0, 2, 3 << 16, 1 << 16, 1, 0, 0) + base
    )


def fill(instances: Path) -> None:
    """Make the directory, and beside it the disk of the guest."""
    for name, content in (FILES | LEFT_BY_A_KILL).items():
        path = instances / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.replace(b"{instances}", os.fsencode(instances)))
        os.utime(path, (CACHED_AT.timestamp(), CACHED_AT.timestamp()))
    (instances / GUEST).write_bytes(disk_on(instances / "_base" / ENTRY[OVER]))


def contents(instances: Path) -> dict[str, bytes]:
    """Return what is there now, as in FILES."""
    found = (path for path in instances.rglob("*") if path.is_file() and path != instances / GUEST)
    return {
        str(path.relative_to(instances)): path.read_bytes().replace(os.fsencode(instances), b"{instances}")
        for path in found
    }

"""The table: every format in every state, with the result of caching.

A case without a refusal ends as the raw disk that `qemu-img convert -t none -O raw` makes of it, byte for byte, or
where formats are kept as the very bytes. One with a refusal leaves nothing, and gives the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.disk_images.making import (
    DISK_BYTES,
    MIB,
    Workshop,
    disk,
    iso,
    put,
    vhd,
    vhdx_with_log,
    vhdx_with_parent,
    vmdk_with,
    vmware_stream,
)

PARENT = "it depends on another file"
CUT = r"truncated: .* its end at \d+ bytes"
EMPTY = "disk of 0 bytes"
UNSAFE = r"Image does not pass safety check \("
MISMATCH = "Image content does not match disk_format"

_QEMU_NAMES = {"vhd": "vpc", "iso": "raw", "ami": "raw", "aki": "raw", "ari": "raw"}


@dataclass(frozen=True, slots=True)
class Case:
    """One image. disk_format: Glance's name. refusal: pattern of the reason; None if the image is accepted.

    nova_boots: whether Nova itself makes an entry of it, although we refuse; the entry would not be the disk.
    is_found_by_reading: only a conversion, which reads all data, finds what is wrong; a host that keeps formats cannot.
    """

    name: str
    disk_format: str
    make: Callable[[Workshop], bytes]
    refusal: str | None = None
    nova_boots: bool = False
    is_found_by_reading: bool = False

    @property
    def qemu_format(self) -> str:
        return _QEMU_NAMES.get(self.disk_format, self.disk_format)

    @property
    def is_raw(self) -> bool:
        return self.qemu_format == "raw"


def _whole(kind: str, *options: str, size: int = DISK_BYTES) -> Callable[[Workshop], bytes]:
    return lambda workshop: workshop.convert(kind, *options, size=size)


def _cut(make: Callable[[Workshop], bytes], *, keep: float) -> Callable[[Workshop], bytes]:
    def cut(workshop: Workshop) -> bytes:
        whole = make(workshop)
        return whole[: int(len(whole) * keep)]

    return cut


_MONO = ("-o", "subformat=monolithicSparse")
_STREAM = ("-o", "subformat=streamOptimized")
_VHD = ("-o", "subformat=dynamic,force_size=on")
_ODD_BYTES = DISK_BYTES + 1536  # no multiple of 4096
_VDI_SIZE, _QCOW2_SIZE = (0x170, "<Q"), (24, ">Q")

_PLAIN = [
    Case("raw plain", "raw", lambda _: disk()),
    Case("iso plain", "iso", lambda _: iso(500)),
    Case("ami plain", "ami", lambda _: disk()),
    Case("qcow2 plain", "qcow2", _whole("qcow2")),
    Case("qcow2 compressed", "qcow2", _whole("qcow2", "-c")),
    Case("qcow2 small clusters", "qcow2", _whole("qcow2", "-o", "cluster_size=512")),
    Case("vmdk sparse plain", "vmdk", _whole("vmdk", *_MONO)),
    Case("vmdk stream plain", "vmdk", _whole("vmdk", *_STREAM)),
    Case("vhd plain", "vhd", _whole("vpc", *_VHD)),
    Case("vhdx plain", "vhdx", _whole("vhdx")),
    Case("vdi plain", "vdi", _whole("vdi")),
    Case("vdi fixed", "vdi", _whole("vdi", "-o", "static=on")),
]

_GROWN_AND_SHRUNK = [
    Case("vhd grown", "vhd", lambda w: vhd(w, original=4 * MIB)),
    Case("vhd grown from nothing", "vhd", lambda w: vhd(w, original=0)),
    Case("vhd shrunk", "vhd", lambda w: vhd(w, creator=b"win ", current=4 * MIB)),
    Case("vhd grown beyond its table", "vhd", lambda w: vhd(w, creator=b"win ", current=64 * MIB), "too small"),
    Case("qcow2 shrunk", "qcow2", lambda w: put(w.convert("qcow2"), *_QCOW2_SIZE, 4 * MIB)),
    Case("qcow2 grown", "qcow2", lambda w: put(w.convert("qcow2"), *_QCOW2_SIZE, 64 * MIB)),
    Case("vdi shrunk", "vdi", lambda w: put(w.convert("vdi"), *_VDI_SIZE, 4 * MIB)),
    Case("vmdk sparse shrunk", "vmdk", lambda w: put(w.convert("vmdk", *_MONO), 12, "<Q", 8000)),
]

_ODD = [
    *(
        Case(f"raw of {size} bytes", "raw", lambda _, size=size: disk(6 * MIB)[-size:])  # type: ignore[misc]
        for size in (1, 511, 4097, 6 * MIB - 1)
    ),
    Case("raw no multiple of 4096", "raw", lambda _: disk(_ODD_BYTES)),
    Case("qcow2 no multiple of 4096", "qcow2", _whole("qcow2", size=_ODD_BYTES)),
    Case("qcow2 less than 4096", "qcow2", _whole("qcow2", size=1536)),
    Case("qcow2 no multiple of 512", "qcow2", lambda w: put(w.convert("qcow2"), *_QCOW2_SIZE, DISK_BYTES - 100)),
    Case("vmdk sparse no multiple of 4096", "vmdk", _whole("vmdk", *_MONO, size=_ODD_BYTES)),
    Case("vmdk stream no multiple of 4096", "vmdk", _whole("vmdk", *_STREAM, size=_ODD_BYTES)),
    Case("vhd no multiple of 4096", "vhd", _whole("vpc", *_VHD, size=_ODD_BYTES)),
    Case("vhd of whole cylinders", "vhd", _whole("vpc", "-o", "subformat=dynamic")),
    Case("vhdx no multiple of 4096", "vhdx", _whole("vhdx", size=_ODD_BYTES)),
    Case("vdi no multiple of 4096", "vdi", _whole("vdi", size=_ODD_BYTES)),
    Case("vdi no multiple of 512", "vdi", lambda w: put(w.convert("vdi"), *_VDI_SIZE, DISK_BYTES - 100)),
]

_FOREIGN = [
    *(
        Case(f"vhd by {creator!r}", "vhd", lambda w, creator=creator: vhd(w, creator=creator))  # type: ignore[misc]
        for creator in (b"win ", b"vpc ", b"vbox", b"d2v ", b"tap\0", b"CTXS", b"vs  ", b"qemu", b"abcd")
    ),
    Case("vhd by vpc that is larger than its geometry", "vhd", lambda w: vhd(w, creator=b"vpc ", current=5 * MIB)),
    Case("qcow2 of version 2", "qcow2", _whole("qcow2", "-o", "compat=0.10")),
    Case("qcow2 with lazy counts, not closed", "qcow2", lambda w: put(w.convert("qcow2"), 79, "B", 1)),
    Case("qcow2 zstd", "qcow2", _whole("qcow2", "-c", "-o", "compression_type=zstd")),
    Case("vmdk stream by ESXi", "vmdk", lambda _: vmware_stream(disk())),
    Case("vhdx small blocks", "vhdx", _whole("vhdx", "-o", "block_size=1M")),
    Case(
        "vdi by VirtualBox",
        "vdi",
        lambda w: put(w.convert("vdi"), 0, "40s", b"<<< Oracle VM VirtualBox Disk Image >>>\n"),
    ),
]

_DEPENDENT = [
    Case(
        "qcow2 on a backing file", "qcow2", lambda w: w.create("qcow2", "-b", "parent", "-F", "raw", on=disk()), UNSAFE
    ),
    Case("qcow2 with a data file", "qcow2", lambda w: w.create("qcow2", "-o", "data_file=data"), UNSAFE),
    Case(
        "vmdk on a parent",
        "vmdk",
        lambda w: w.create("vmdk", "-b", "parent", "-F", "vmdk", on=w.convert("vmdk")),
        PARENT,
    ),
    Case(
        "vmdk on a parent without a name",
        "vmdk",
        lambda w: vmdk_with(w.convert("vmdk", *_MONO), b"parentCID=ffffffff", b"parentCID=12345678"),
        PARENT,
        nova_boots=True,
    ),
    Case(
        "vmdk with a second extent",
        "vmdk",
        lambda w: vmdk_with(w.convert("vmdk", *_MONO), b"\n# The Disk", b'RW 4096 SPARSE "second.vmdk"\n\n# The Disk'),
        "it depends on other files",
        nova_boots=True,
    ),
    Case("vmdk of two files", "vmdk", lambda w: w.create("vmdk", "-o", "subformat=monolithicFlat"), UNSAFE),
    Case("vhd with differences", "vhd", lambda w: vhd(w, type=4), PARENT, nova_boots=True),
    Case("vhd that says it is fixed", "vhd", lambda w: vhd(w, type=2), "of type 2", nova_boots=True),
    Case("vhdx with a parent", "vhdx", lambda w: vhdx_with_parent(w.convert("vhdx")), PARENT),
    Case("vhdx with a log", "vhdx", lambda w: vhdx_with_log(w.convert("vhdx")), "a log that must be replayed first"),
    Case("vdi with differences", "vdi", lambda w: put(w.convert("vdi"), 0x4C, "<I", 4), PARENT, nova_boots=True),
    Case("vdi with a parent", "vdi", lambda w: put(w.convert("vdi"), 0x1B8, "<Q", 7), PARENT),
    Case(
        "vdi with more in each block",
        "vdi",
        lambda w: put(w.convert("vdi"), 0x17C, "<I", 16),
        "begins with 16 bytes",
        nova_boots=True,
    ),
]

_DAMAGED = [
    Case(
        "qcow2 marked as corrupt",
        "qcow2",
        lambda w: put(w.convert("qcow2"), 79, "B", 2),
        "marked as corrupt",
        nova_boots=True,
    ),
    Case("qcow2 of an unknown kind", "qcow2", lambda w: put(w.convert("qcow2"), 72, "B", 128), UNSAFE),
    Case("qcow2 as raw", "raw", _whole("qcow2"), MISMATCH),
    Case("vhd with a wrong sum", "vhd", lambda w: put(w.convert("vpc", *_VHD), 64, ">I", 1), "header checksum"),
    Case(
        "vhdx without regions",
        "vhdx",
        lambda w: put(put(w.convert("vhdx"), 196608, "4s", b""), 262144, "4s", b""),
        "Could not open the image",
    ),
    Case("vdi without its mark", "vdi", lambda w: put(w.convert("vdi"), 64, "<I", 0), MISMATCH),
    Case("vmdk without a descriptor", "vmdk", lambda w: put(w.convert("vmdk", *_MONO), 512, "600s", b""), UNSAFE),
    Case(
        "vmdk stream with a damaged grain",
        "vmdk",
        lambda w: put(w.convert("vmdk", *_STREAM), 300_000, "3000s", b""),
        "error while reading at byte",
        is_found_by_reading=True,
    ),
]

_CUT = [
    Case("iso cut", "iso", lambda _: iso(500, size=900_000), CUT, nova_boots=True),
    Case("qcow2 cut", "qcow2", _cut(_whole("qcow2"), keep=0.7), CUT, nova_boots=True),
    Case("qcow2 compressed cut", "qcow2", _cut(_whole("qcow2", "-c"), keep=0.6), CUT, nova_boots=True),
    Case("vmdk sparse cut", "vmdk", _cut(_whole("vmdk", *_MONO), keep=0.7), CUT, nova_boots=True),
    Case("vmdk sparse cut by a sector", "vmdk", lambda w: w.convert("vmdk", *_MONO)[:-512], CUT, nova_boots=True),
    Case("vmdk stream cut", "vmdk", _cut(_whole("vmdk", *_STREAM), keep=0.7), CUT),
    Case("vmdk stream by ESXi cut", "vmdk", _cut(lambda _: vmware_stream(disk()), keep=0.7), UNSAFE),
    Case("vhd cut", "vhd", _cut(_whole("vpc", *_VHD), keep=0.7), CUT),
    Case("vhd without its end", "vhd", lambda w: w.convert("vpc", *_VHD)[:-512]),
    Case("vhdx cut", "vhdx", _cut(_whole("vhdx", "-o", "block_size=1M"), keep=0.9), CUT),
    Case("vhdx cut by a sector", "vhdx", lambda w: w.convert("vhdx", "-o", "block_size=1M")[:-512], CUT),
    Case("vdi cut", "vdi", _cut(_whole("vdi"), keep=0.7), CUT, nova_boots=True),
    Case("vdi cut by a sector", "vdi", lambda w: w.convert("vdi")[:-512], CUT, nova_boots=True),
]

_EMPTY = [
    Case("raw empty", "raw", lambda _: b"", "has no associated data"),
    Case("qcow2 empty", "qcow2", lambda w: w.create("qcow2", size="0"), EMPTY, nova_boots=True),
    Case(
        "qcow2 less than a sector", "qcow2", lambda w: put(w.create("qcow2"), *_QCOW2_SIZE, 100), EMPTY, nova_boots=True
    ),
    Case("vhd empty", "vhd", lambda w: vhd(w, creator=b"win ", current=0), EMPTY, nova_boots=True),
    Case("vdi empty", "vdi", lambda w: put(w.convert("vdi"), *_VDI_SIZE, 0), EMPTY, nova_boots=True),
    Case("vhdx empty", "vhdx", lambda w: w.create("vhdx", size="0"), ".", nova_boots=True),
    Case("vmdk empty", "vmdk", lambda w: put(w.convert("vmdk", *_MONO), 12, "<Q", 0), "."),
]

CASES = [*_PLAIN, *_GROWN_AND_SHRUNK, *_ODD, *_FOREIGN, *_DEPENDENT, *_DAMAGED, *_CUT, *_EMPTY]

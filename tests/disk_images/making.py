"""How the images of the table are made: by qemu-img, and then changed byte by byte."""

from __future__ import annotations

import random
import struct
import subprocess
import tempfile
import zlib
from functools import cache
from pathlib import Path

MIB = 1 << 20
DISK_BYTES = 6 * MIB


@cache
def disk(size: int = DISK_BYTES) -> bytes:
    """Return a disk with data at its start, in its middle and up to its last byte."""
    rng = random.Random(size)
    content = bytearray(size)
    for at, length in ((4096, 5000), (size // 2, 300_000), (size - 70_000, 70_000)):
        content[at : at + length] = rng.randbytes(len(content[at : at + length]))
    return bytes(content)


class Workshop:
    """Makes images in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def convert(self, kind: str, *options: str, size: int = DISK_BYTES) -> bytearray:
        """Return the disk of `size` bytes in one of qemu's formats."""
        return bytearray(_converted(kind, *options, size=size))

    def create(self, kind: str, *options: str, size: str = "6M", on: bytes | None = None) -> bytearray:
        """Return a new image of qemu's, on a backing file with the content `on` if there is one."""
        target = self._directory / "image"
        target.unlink(missing_ok=True)
        if on is not None:
            (self._directory / "parent").write_bytes(on)
        _qemu_img("create", "-f", kind, *options, target, *([] if on is not None else [size]), cwd=self._directory)
        return bytearray(target.read_bytes())

    def raw_of(self, image: bytes, kind: str) -> bytes:
        """Return what `qemu-img convert -t none -O raw` makes of the image: what Nova would boot from."""
        source, target = self._directory / "given", self._directory / "raw"
        source.write_bytes(image)
        target.unlink(missing_ok=True)
        _qemu_img("convert", "-t", "none", "-f", kind, "-O", "raw", source, target)
        return target.read_bytes()


@cache
def _converted(kind: str, *options: str, size: int) -> bytes:
    """Return the same bytes for the same arguments, for many images are made from one."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "disk.raw", Path(folder) / "image"
        source.write_bytes(disk(size))
        _qemu_img("convert", "-f", "raw", "-O", kind, *options, source, target)
        return target.read_bytes()


def _qemu_img(*arguments: object, cwd: Path | None = None) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True, cwd=cwd)


def put(image: bytes, offset: int, kind: str, *values: object) -> bytearray:
    """Return the image with the values, as struct.pack writes them, at the offset."""
    changed = bytearray(image)
    struct.pack_into(kind, changed, offset, *values)
    return changed


# VHD: a footer at the end and its copy at the start, each with a checksum.


def vhd(workshop: Workshop, **changes: object) -> bytearray:
    """Return a dynamic VHD whose footers say otherwise: creator, original, current (bytes), type."""
    image = workshop.convert("vpc", "-o", "subformat=dynamic,force_size=on")
    return vhd_with(image, **changes)


_VHD_FIELDS = {"creator": (28, "4s"), "original": (40, ">Q"), "current": (48, ">Q"), "type": (60, ">I")}


def vhd_with(image: bytearray, **changes: object) -> bytearray:
    for start in (0, len(image) - 512):
        for name, value in changes.items():
            offset, kind = _VHD_FIELDS[name]
            image = put(image, start + offset, kind, value)
        image = put(image, start + 64, ">I", 0)
        image = put(image, start + 64, ">I", ~sum(image[start : start + 512]) & 0xFFFFFFFF)
    return image


# VHDX: the log's GUID stands in two headers, the flags in the metadata.

_FILE_PARAMETERS = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")


def vhdx_with_parent(image: bytearray) -> bytearray:
    entry, metadata = image.find(_FILE_PARAMETERS), image.find(b"metadata")
    (offset,) = struct.unpack_from("<I", image, entry + 16)
    (flags,) = struct.unpack_from("<I", image, metadata + offset + 4)
    return put(image, metadata + offset + 4, "<I", flags | 0b10)


def vhdx_with_log(image: bytearray) -> bytearray:
    """Return the image with one entry in its log, which writes a sector of descriptors' worth of nothing."""
    guid = b"precache-test-log"[:16]
    for start in (0x10000, 0x20000):
        image[start + 48 : start + 64] = guid
        image = _with_crc(image, start, 4096)
    (log_at,) = struct.unpack_from("<Q", image, 0x10000 + 72)
    (metadata_length,) = (4096,)
    entry = bytearray(metadata_length)
    struct.pack_into("<4sIIIQII16sQQ", entry, 0, b"loge", 0, 4096, 0, 1, 1, 0, guid, len(image), len(image))
    # One zero descriptor: write zeros over the last 4096 bytes of the file.
    struct.pack_into("<4sIQQQ", entry, 64, b"zero", 0, 4096, len(image) - 4096, 1)
    entry = _with_crc(entry, 0, 4096)
    image[log_at : log_at + 4096] = entry
    return image


def _with_crc(image: bytearray, start: int, length: int) -> bytearray:
    image = put(image, start + 4, "<I", 0)
    return put(image, start + 4, "<I", crc32c(bytes(image[start : start + length])))


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value ^ 0xFFFFFFFF


# VMDK: a descriptor in text behind the header.


def vmdk_with(image: bytearray, old: bytes, new: bytes) -> bytearray:
    """Return the image with one text of its descriptor replaced by another, within the room that it has."""
    (at, sectors) = struct.unpack_from("<QQ", image, 28)
    start, end = at * 512, (at + sectors) * 512
    text = bytes(image[start:end]).rstrip(b"\0")
    assert old in text
    changed = text.replace(old, new).ljust(end - start, b"\0")
    assert len(changed) == end - start
    return image[:start] + changed + image[end:]


def vmware_stream(content: bytes) -> bytes:
    """Return the disk as ESXi exports it: tables among the data, the directory and a second header at the end."""
    sectors, grain, entries = len(content) // 512, 128, 512
    text = (
        '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="streamOptimized"\n'
        f'\nRDONLY {sectors} SPARSE "call-me-stream.vmdk"\n\n#DDB\nddb.adapterType = "lsilogic"\n'
    ).encode()

    def header(directory: int) -> bytes:
        fields = (b"KDMV", 3, 0x30001, sectors, grain, 1, 20, entries, 0, directory, grain, 0, 10, 32, 13, 10, 1)
        return struct.pack("<4sIIQQQQIQQQBBBBBH", *fields).ljust(512, b"\0")

    def marker(sector_count: int, kind: int) -> bytes:
        return struct.pack("<QII", sector_count, 0, kind).ljust(512, b"\0")

    out = bytearray(header((1 << 64) - 1) + text.ljust(20 * 512, b"\0"))
    out += bytes(-len(out) % (grain * 512))
    directory = []
    for first in range(0, sectors, grain * entries):
        table = []
        for lba in range(first, min(first + grain * entries, sectors), grain):
            data = content[lba * 512 : (lba + grain) * 512].ljust(grain * 512, b"\0")
            table.append(len(out) // 512 if data.strip(b"\0") else 0)
            if table[-1]:
                packed = zlib.compress(data)
                out += struct.pack("<QI", lba, len(packed)) + packed
                out += bytes(-len(out) % 512)
        out += marker(4, 1)
        directory.append(len(out) // 512)
        out += struct.pack(f"<{len(table)}I", *table).ljust(entries * 4, b"\0")
    out += marker(1, 2)
    at = len(out) // 512
    out += struct.pack(f"<{len(directory)}I", *directory).ljust(512, b"\0")
    return bytes(out + marker(1, 3) + header(at) + marker(0, 0))


# ISO 9660: the first descriptor of the volume.


def iso(blocks: int, *, size: int | None = None) -> bytes:
    """Return a volume that says it has `blocks` blocks of 2048 bytes; it has, unless `size` (bytes) is given."""
    image = bytearray(disk(2 * MIB)[: blocks * 2048].ljust(blocks * 2048, b"\0"))
    image[: 34 << 10] = bytes(34 << 10)
    image[32 << 10 : (32 << 10) + 7] = b"\x01CD001\x01"
    image = put(image, (32 << 10) + 80, "<I", blocks)
    image = put(image, (32 << 10) + 84, ">I", blocks)
    image = put(image, (32 << 10) + 128, "<H", 2048)
    image = put(image, (32 << 10) + 130, ">H", 2048)
    return bytes(image if size is None else image[:size])

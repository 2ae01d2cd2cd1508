"""What a disk format means for the cache: its name in qemu-img, whether it is converted, how long that may take."""

from __future__ import annotations

from datetime import timedelta

from precache.core.images import DiskFormat

RAW = "raw"

BARE_FORMATS = frozenset({DiskFormat.AMI, DiskFormat.AKI, DiskFormat.ARI})
"""Amazon's names for a bare file system, kernel or ramdisk: any content that tools do not take for a disk format."""

_QEMU_NAMES = {
    DiskFormat.RAW: RAW,
    DiskFormat.ISO: RAW,
    DiskFormat.AMI: RAW,
    DiskFormat.AKI: RAW,
    DiskFormat.ARI: RAW,
    DiskFormat.QCOW2: "qcow2",
    DiskFormat.VMDK: "vmdk",
    DiskFormat.VHD: "vpc",
    DiskFormat.VHDX: "vhdx",
    DiskFormat.VDI: "vdi",
}

CPU_TIME_PER_GIB = timedelta(seconds=60)
"""For one GiB of virtual disk. Decompressing zlib clusters takes 2 to 5 s of processor time per GiB; a slow
processor and a slow disk are allowed ten times that."""

WALL_TIME_FACTOR = 4
"""A run that only waits is ended after this many times its limit of processor time, because disks are slow."""

MOST_PARTS = 4

SMALLEST_PART_BYTES = 512 << 20
"""What one table of a qcow2 image with clusters of the usual 64 KiB covers."""


PARTS_OF_DATA = 100

SMALLEST_ANNOUNCED_BYTES = 2 << 20
"""A part costs the start of a process, 16 ms. Much smaller parts would need longer than their data on the network."""

LARGEST_ANNOUNCED_BYTES = 1 << 30

_ANNOUNCED_UNIT_BYTES = 1 << 20


def qemu_format(disk_format: str | None) -> str | None:
    """Return qemu-img's name for Glance's disk format; None if no inspector can check such content.

    ISO images and Amazon's formats are raw to qemu.
    """
    try:
        return _QEMU_NAMES.get(DiskFormat(disk_format or ""))
    except ValueError:
        return None


def is_cached_as_is(disk_format: str | None) -> bool:
    """Return whether a kernel or ramdisk may have this format: one that every tool reads as raw bytes."""
    return disk_format == DiskFormat.RAW or disk_format in BARE_FORMATS


def is_converted(disk_format: str | None, force_raw_images: bool) -> bool:
    """Return whether the cache gets a raw copy instead of the bytes as they were downloaded."""
    return force_raw_images and qemu_format(disk_format) != RAW


def part_size(virtual_size_bytes: int, done_bytes: int) -> int:
    """Return the size of the next part of a disk that is converted while it is still being downloaded.

    qemu-img reads all tables of the range before it copies a byte, and qcow2 has its tables spread among the data. For
    the whole disk it would wait for nearly the whole download. Each part costs the start of a process, so there are no
    more than MOST_PARTS, and none is smaller than SMALLEST_PART_BYTES.
    """
    wanted = -(-virtual_size_bytes // MOST_PARTS)
    aligned = -(-wanted // SMALLEST_PART_BYTES) * SMALLEST_PART_BYTES
    return min(aligned, virtual_size_bytes - done_bytes)


def announced_part_size(download_bytes: int, previous_bytes: int, written_bytes: int) -> int:
    """Return the size of the next part of a disk whose parts are passed on to other hosts one by one.

    download_bytes: of the image. previous_bytes: the size of the part before; 0 for the first one. written_bytes: how
        much data that part had.
    A part is to have as much data as one in PARTS_OF_DATA of the download: the other hosts are behind by one part. In
    a hole parts become twice as large each time, because an empty part costs a process as well.
    """
    goal = max(_rounded_up(-(-download_bytes // PARTS_OF_DATA)), SMALLEST_ANNOUNCED_BYTES)
    wanted = min(previous_bytes * goal // max(written_bytes, 1), previous_bytes * 2, LARGEST_ANNOUNCED_BYTES)
    return max(_rounded_up(wanted), goal)


def _rounded_up(size_bytes: int) -> int:
    return -(-size_bytes // _ANNOUNCED_UNIT_BYTES) * _ANNOUNCED_UNIT_BYTES


def conversion_cpu_time(virtual_size_bytes: int, floor: timedelta) -> timedelta:
    """Return the processor time that a conversion may use.

    It grows with the virtual size, which bounds the work. `floor`, the limit for examining an image, covers the start
    and the smallest disks. A crafted image cannot use a processor for longer.
    """
    return floor + CPU_TIME_PER_GIB * (virtual_size_bytes / 2**30)


def wall_time(cpu_time: timedelta) -> timedelta:
    """Return how long a run with this limit of processor time may take after all of its image has arrived."""
    return cpu_time * WALL_TIME_FACTOR

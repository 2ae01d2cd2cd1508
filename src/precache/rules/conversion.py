"""What a disk format means for the cache: what qemu-img calls it, whether it is converted, how long that may take."""

from __future__ import annotations

from datetime import timedelta

from precache.core.images import DiskFormat

RAW = "raw"

BARE_FORMATS = frozenset({DiskFormat.AMI, DiskFormat.AKI, DiskFormat.ARI})
"""Amazon's words for a bare file system, kernel or ramdisk: any content that no tool takes for a disk format."""

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
"""A run that only waits is ended, too: after this many times the processor time that it may use, for disks are slow."""

MOST_PARTS = 4

SMALLEST_PART_BYTES = 512 << 20
"""What one table of a qcow2 image with clusters of the usual 64 KiB covers."""


def qemu_format(disk_format: str | None) -> str | None:
    """Return qemu-img's name for Glance's disk format; None if no inspector can vouch for such content.

    ISO images and Amazon's formats are raw to qemu.
    """
    try:
        return _QEMU_NAMES.get(DiskFormat(disk_format or ""))
    except ValueError:
        return None


def is_converted(disk_format: str | None, force_raw_images: bool) -> bool:
    """Return whether the cache gets a raw copy in place of the bytes as they were downloaded."""
    return force_raw_images and qemu_format(disk_format) != RAW


def part_size(virtual_size_bytes: int, done_bytes: int) -> int:
    """Return the size of the next part of a disk that is converted while it is still being downloaded.

    qemu-img looks at all the tables of what it is to convert before it copies a byte, and qcow2 has its tables
    spread among the data: asked for the whole disk, it would wait for nearly the whole download. Each part costs
    the start of a process, hence no more than MOST_PARTS, none smaller than SMALLEST_PART_BYTES.
    """
    wanted = -(-virtual_size_bytes // MOST_PARTS)
    aligned = -(-wanted // SMALLEST_PART_BYTES) * SMALLEST_PART_BYTES
    return min(aligned, virtual_size_bytes - done_bytes)


def conversion_cpu_time(virtual_size_bytes: int, floor: timedelta) -> timedelta:
    """Return the processor time that a conversion may use.

    It grows with the virtual size, for that bounds the work; `floor`, the limit for merely looking at an image,
    covers the start and the smallest disks. A crafted image cannot keep a processor busy for longer.
    """
    return floor + CPU_TIME_PER_GIB * (virtual_size_bytes / 2**30)


def wall_time(cpu_time: timedelta) -> timedelta:
    """Return how long a run that may use this processor time may take, once all of its image is there."""
    return cpu_time * WALL_TIME_FACTOR

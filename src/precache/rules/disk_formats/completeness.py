"""For every format: whether an image is a complete disk by itself."""

from __future__ import annotations

from precache.core.images import DiskFormat
from precache.rules.disk_formats import iso, qcow2, vdi, vhd, vhdx, vmdk
from precache.rules.disk_formats.content import Content

_CHECKS = {
    DiskFormat.QCOW2: qcow2.why_unusable,
    DiskFormat.VHD: vhd.why_unusable,
    DiskFormat.VHDX: vhdx.why_unusable,
    DiskFormat.VDI: vdi.why_unusable,
    DiskFormat.VMDK: vmdk.why_unusable,
}

_DATA_ENDS = {
    DiskFormat.ISO: iso.data_end,
    DiskFormat.QCOW2: qcow2.data_end,
    DiskFormat.VHD: vhd.data_end,
    DiskFormat.VHDX: vhdx.data_end,
    DiskFormat.VDI: vdi.data_end,
    DiskFormat.VMDK: vmdk.data_end,
}


def why_unusable(disk_format: str | None, content: Content) -> str | None:
    """Return why this is not a complete disk by itself, as a text for an operator; None if it may be one.

    disk_format: Glance's name; the content must have been recognised as this. Only the front of the image is read.
    """
    check = _CHECKS.get(disk_format)  # type: ignore[call-overload]
    return check(content) if check else None


def is_truncated(disk_format: str | None, content: Content, *, is_converted: bool) -> bool:
    """Return whether the image refers to data beyond its end.

    is_converted: the conversion will read all of it, and so find what is missing. Then formats with tables among the
        data are not checked, because reading these tables would wait for the whole download.
    """
    if is_converted and _conversion_reads_all(disk_format, content):
        return False
    data_end = _DATA_ENDS.get(disk_format)  # type: ignore[call-overload]
    return data_end is not None and data_end(content) > content.size_bytes


def _conversion_reads_all(disk_format: str | None, content: Content) -> bool:
    return disk_format == DiskFormat.QCOW2 or (disk_format == DiskFormat.VMDK and vmdk.is_compressed(content))

"""Disk formats and what becomes of them, as tables."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import DiskFormat
from precache.rules.conversion import (
    MOST_PARTS,
    SMALLEST_PART_BYTES,
    conversion_cpu_time,
    is_converted,
    part_size,
    qemu_format,
)


@pytest.mark.parametrize(
    ("disk_format", "expected"),
    [
        ("raw", "raw"),
        ("iso", "raw"),
        ("ami", "raw"),
        ("aki", "raw"),
        ("ari", "raw"),
        ("qcow2", "qcow2"),
        ("vmdk", "vmdk"),
        ("vhd", "vpc"),
        ("vhdx", "vhdx"),
        ("vdi", "vdi"),
        ("ploop", None),
        ("luks", None),
        ("qed", None),
        ("", None),
        (None, None),
    ],
)
def test_qemu_has_its_own_names(disk_format, expected):
    assert qemu_format(disk_format) == expected


@pytest.mark.parametrize("disk_format", [DiskFormat.RAW, DiskFormat.ISO, DiskFormat.AMI])
def test_what_is_raw_already_is_never_converted(disk_format):
    assert not is_converted(disk_format, force_raw_images=True)


@pytest.mark.parametrize("force_raw_images", [True, False])
def test_other_formats_are_converted_if_the_host_is_configured_so(force_raw_images):
    assert is_converted(DiskFormat.QCOW2, force_raw_images) == force_raw_images


def test_cpu_time_grows_with_the_virtual_size():
    floor = timedelta(seconds=30)

    assert conversion_cpu_time(0, floor) == floor
    assert conversion_cpu_time(10 * 2**30, floor) == timedelta(seconds=630)


@given(sectors=st.integers(1, 2**35))
def test_parts_cover_the_disk_and_are_few(sectors):
    size, done, parts = 512 * sectors, 0, []

    while done < size:
        parts.append(part_size(size, done))
        done += parts[-1]

    assert done == size
    assert len(parts) <= MOST_PARTS
    assert all(part >= SMALLEST_PART_BYTES for part in parts[:-1])

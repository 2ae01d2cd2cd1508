"""A qcow2 that was truncated before it was hashed: its digest is right, but half of its disk is missing."""

import struct

import pytest

from precache.core.errors import ConversionFailed
from tests.unit.fetch.world import BY_QEMU_IMG, BY_STREAM

CLUSTER_BYTES = 64 << 10


both_ways = pytest.mark.parametrize("rules", [BY_STREAM, BY_QEMU_IMG], ids=["stream", "qemu-img"])


@both_ways
@pytest.mark.parametrize("options", [(), ("-c",)])
def test_qcow2_that_was_cut_off_before_its_upload_does_not_become_zeros(world, make_image, options, rules):
    data = make_image("qcow2", *options)

    with pytest.raises(ConversionFailed, match=r"truncated: .* its end at \d+ bytes; upload the whole image again"):
        world.fetch(data[: len(data) // 2], "qcow2", rules=rules)

    assert world.litter() == []


@both_ways
def test_qcow2_with_truncated_tables_is_reported_as_well(world, make_image, rules):
    data = make_image("qcow2")
    (l1_offset,) = struct.unpack(">Q", data[40:48])

    with pytest.raises(ConversionFailed, match="truncated"):
        world.fetch(data[: l1_offset - CLUSTER_BYTES], "qcow2", rules=rules)


@both_ways
def test_qcow2_whose_last_cluster_is_cut_is_whole(world, make_image, disk_bytes, rules):
    data = make_image("qcow2").rstrip(b"\0")

    assert world.fetch(data, "qcow2", rules=rules).read_bytes() == disk_bytes

"""The disk that the reader makes of an image is the one that qemu-img makes of it."""

from itertools import pairwise

import pytest

from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.executing import decode
from tests.unit.fetch.qcow2.images import LAYOUTS, disk_of, image


@pytest.mark.parametrize("block_bytes", [1 << 20, 4096, 777])
@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
def test_disk_is_that_of_qemu_img(options, block_bytes):
    data = image(*options)

    decoding = decode(Qcow2Reader, data, block_bytes)

    assert bytes(decoding.disk) == disk_of(data)
    assert decoding.reader.placed_up_to == len(decoding.disk)


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
def test_no_part_of_the_disk_is_placed_twice(options):
    placed = sorted(decode(Qcow2Reader, image(*options)).placed)

    assert all(end <= start for (_, end), (start, _) in pairwise(placed))

"""What qemu's tools leave on a disk is decoded to what `qemu-img convert` makes of it, or is left to qemu-img."""

import random

import pytest

from precache.fetch.decoding.placements import NotStreamable, Truncated
from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.checked_decoding import CheckedDecoding, decode_checked
from tests.disk_images.qcow2_layouts import HISTORIES, OPTIONS, Layout, converted, covering, image_of
from tests.disk_images.qcow2_reference import disk_of

FEW = {"cluster_bytes": (512, 4096, 1 << 16, 1 << 21), "refcount_bits": (1, 16, 64)}

QUICK = covering(OPTIONS | FEW, histories=tuple(HISTORIES))
ALL = covering(OPTIONS | {"history": tuple(HISTORIES)})
SMALL = [layout for layout in QUICK if layout.cluster_bytes <= 1 << 16 and layout.is_streamable]


def check(layout: Layout) -> None:
    image = image_of(layout)
    expected = converted(image)
    if not layout.is_streamable:
        with pytest.raises(NotStreamable):
            decode_checked(Qcow2Reader, image)
        return
    assert decode_checked(Qcow2Reader, image).disk == expected
    assert disk_of(image) == expected  # the reference of other tests


@pytest.mark.parametrize("layout", QUICK, ids=str)
def test_image_becomes_what_qemu_img_makes_of_it(layout):
    check(layout)


@pytest.mark.long
@pytest.mark.parametrize("layout", ALL, ids=str)
def test_image_becomes_what_qemu_img_makes_of_it_for_every_two_options(layout):
    check(layout)


@pytest.mark.parametrize("layout", SMALL, ids=str)
def test_reader_that_is_replaced_at_any_byte_goes_on(layout):
    image = image_of(layout)
    rng = random.Random(str(layout))
    decoding = CheckedDecoding(Qcow2Reader, image)

    while decoding.fed_bytes < len(image):
        decoding.feed(rng.randint(1, len(image) // 2))
        decoding.replace_reader()

    assert decoding.finish().disk == disk_of(image)


@pytest.mark.parametrize("layout", SMALL[::2], ids=str)
def test_cut_image_is_refused_unless_only_zeros_are_missing(layout):
    image = image_of(layout)
    rng = random.Random(str(layout))

    for end in sorted(rng.randrange(1 << 16, len(image)) for _ in range(3)):
        try:
            disk = decode_checked(Qcow2Reader, image[:end]).disk
        except (NotStreamable, Truncated):
            continue
        assert disk == disk_of(image[:end])

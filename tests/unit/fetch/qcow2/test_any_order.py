"""The disk is the same in whatever order the parts of an image come, however its bytes are cut, and after a pause."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.executing import Decoding, SideFile, decode
from tests.unit.fetch.qcow2 import images
from tests.unit.fetch.qcow2.building import build, parts_of

CLUSTERS = st.lists(st.sampled_from(["zero", "plain", "packed"]), min_size=1, max_size=300)
BITS = st.sampled_from([9, 9, 12])


@st.composite
def arranged(draw):
    """Images whose parts are in their usual order but for some that are elsewhere."""
    clusters, bits = draw(CLUSTERS), draw(BITS)
    order = parts_of(clusters, bits)
    moves = draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=12))
    for old, new in moves:
        order.insert(new % len(order), order.pop(old % len(order)))
    if draw(st.booleans()):
        random.Random(len(moves)).shuffle(order)
    return build(clusters, order, bits, cut_bytes=draw(st.sampled_from([0, 0, 512])) if bits > 9 else 0)


def decode_in(built, sizes, make_reader=Qcow2Reader):
    """Return the decoding of an image that is cut into pieces of these sizes, again and again."""
    image = bytes(built.image)
    decoding = Decoding(make_reader, image, len(image))
    at = turn = 0
    while at < len(image):
        size = sizes[turn % len(sizes)]
        decoding.feed(image[at : at + size])
        at, turn = at + size, turn + 1
    decoding.finish()
    return decoding


def test_built_images_are_what_qemu_img_makes_of_them():
    clusters = ["packed", "plain", "zero", "packed"] * 60
    for order in (parts_of(clusters, 9), parts_of(clusters, 9)[::-1]):
        built = build(clusters, order)
        assert images.disk_of(bytes(built.image)) == built.disk


@settings(max_examples=150, deadline=None)
@given(arranged())
def test_parts_may_come_in_any_order(built):
    decoding = decode(Qcow2Reader, bytes(built.image))

    assert bytes(decoding.disk) == built.disk
    assert decoding.reader.placed_up_to == len(built.disk)


@settings(max_examples=100, deadline=None)
@given(arranged(), st.lists(st.sampled_from([1, 7, 511, 512, 513, 4096, 5000, 70_000]), min_size=1, max_size=5))
def test_result_does_not_depend_on_how_the_bytes_are_cut(built, sizes):
    whole, cut = decode_in(built, [1 << 20]), decode_in(built, sizes)

    assert cut.disk == whole.disk
    assert cut.side.content == whole.side.content


@settings(max_examples=100, deadline=None)
@given(arranged(), st.floats(0, 1), st.sampled_from([512, 1000, 1 << 20]))
def test_new_reader_goes_on_from_the_side_file(built, share, block_bytes):
    image = bytes(built.image)
    fed = max(int(len(image) * share), 4096)  # the header is there before a reader is
    before = Decoding(Qcow2Reader, image, len(image))
    before.feed(image[:fed])
    for spill in before.reader.held():
        before.side.write(spill.file_offset, spill.data)
    kept = bytes(before.side.content[:fed])
    side = SideFile(len(image))
    side.content[:fed] = kept

    after = Decoding(Qcow2Reader, kept[: 64 << 10].ljust(min(len(image), 64 << 10), b"\0"), len(image), side)
    after.replay(kept, block_bytes)
    assert after.reader.placed_up_to == before.reader.placed_up_to
    after.disk = before.disk
    after.feed(image[fed:])
    after.finish()

    assert bytes(after.disk) == built.disk


@pytest.mark.parametrize("last", ["l1", ("l2", 0), ("l2", 1)])
def test_clusters_wait_in_the_side_file_for_a_table_that_comes_last(last):
    clusters = ["plain", "packed"] * 60
    order = parts_of(clusters, 9)
    order.remove(last)
    built = build(clusters, [*order, last])

    decoding = decode(Qcow2Reader, bytes(built.image))

    assert bytes(decoding.disk) == built.disk

"""Tables may come before or after their clusters, and many pieces may wait: the disk is the same."""

import random
import struct
import tracemalloc

import pytest

from precache.fetch.decoding.placements import NotStreamable, Spill
from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.checked_decoding import CheckedDecoding, decode_checked
from tests.disk_images.making import put
from tests.disk_images.qcow2_layouts import converted
from tests.unit.fetch.qcow2.building import build, parts_of


def reader_of(most_pieces):
    def make_reader(head, file_bytes, read_spilled):
        return Qcow2Reader(head, file_bytes, read_spilled, most_pieces=most_pieces)

    return make_reader


def shuffled_by_writers(seed):
    """Return an image that several threads wrote: parts are near their place, and small ones share a sector."""
    rng = random.Random(seed)
    clusters = rng.choices(["zero", "plain", "packed"], (1, 1, 8), k=rng.randint(1, 300))
    order, threads = parts_of(clusters, 9), rng.randint(1, 32)
    places = sorted(range(len(order)), key=lambda at: at + rng.random() * threads)
    return build(clusters, [order[at] for at in places])


@pytest.mark.parametrize("seed", range(30))
def test_disk_and_side_file_do_not_depend_on_how_the_bytes_are_cut(seed):
    built, rng = shuffled_by_writers(seed), random.Random(seed)
    image = bytes(built.image)
    whole, cut = (CheckedDecoding(Qcow2Reader, image) for _ in range(2))
    whole.feed(len(image))
    sizes = rng.sample([7, 100, 511, 513, 5000, 1 << 20], k=2)
    while cut.fed_bytes < len(image):
        cut.feed(rng.choice(sizes))

    assert whole.finish().disk == cut.finish().disk == built.disk
    assert whole.side.read(0, len(image)) == cut.side.read(0, len(image))


def test_built_images_are_what_qemu_img_makes_of_them():
    clusters = ["packed", "plain", "zero", "packed"] * 60
    for order in (parts_of(clusters, 9), parts_of(clusters, 9)[::-1]):
        built = build(clusters, order)
        assert converted(bytes(built.image)) == built.disk


@pytest.mark.parametrize("most_pieces", [50, 100, 200])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_tables_wait_while_too_many_pieces_are_known(most_pieces, is_reversed):
    clusters = ["packed"] * 320
    tables = [("l2", table) for table in range(5)]
    data = [("data", at) for at in range(320)]
    built = build(clusters, ["l1", *tables, *(data[::-1] if is_reversed else data)])

    waiting = decode_checked(reader_of(most_pieces), bytes(built.image), 700)
    known = decode_checked(Qcow2Reader, bytes(built.image), 700)

    assert waiting.disk == known.disk == built.disk
    assert waiting.spilled_bytes > known.spilled_bytes  # their clusters wait as well


def test_cluster_that_is_cut_is_not_read_a_second_time_for_a_table_that_waits():
    clusters = ["packed"] * 65
    built = build(clusters, ["l1", ("l2", 0), ("l2", 1), *(("data", at) for at in range(64))])
    image = put(built.image, built.places["l2", 1], "8s", built.image[built.entries[63] :][:8])

    with pytest.raises(NotStreamable, match="needed twice"):
        decode_checked(reader_of(25), bytes(image[:-1]))


def test_too_many_parts_that_were_dropped_are_left_to_qemu_img():
    clusters = ["plain"] * 128
    # Every cluster of the first table lies before one of the second, whose table comes last.
    pairs = [part for at in range(64) for part in (("data", at), ("data", 64 + at))]
    image = bytes(build(clusters, ["l1", ("l2", 0), *pairs, ("l2", 1)]).image)

    decode_checked(reader_of(64), image)
    with pytest.raises(NotStreamable, match="too many pieces"):
        decode_checked(reader_of(63), image)


def test_usual_image_keeps_its_tables_alone_in_the_side_file():
    clusters = ["packed"] * 256
    built = build(clusters, parts_of(clusters, 9))

    spilled = decode_checked(Qcow2Reader, bytes(built.image)).spilled_bytes

    # The header, the reference counts and the tables; and the sectors before and behind each table.
    assert spilled <= 4096 + 4 * 512 + 4 * 2 * 512


def test_bytes_that_wait_for_more_are_held():
    built = build(["packed"], parts_of(["packed"], 12), 12)
    image, at = bytes(built.image), built.places["data", 0]
    reader = Qcow2Reader(image, len(image), lambda start, length: image[start : start + length])

    list(reader.feed(memoryview(image)[: at + 10]))

    assert [Spill(spill.file_offset, bytes(spill.data)) for spill in reader.held()] == [Spill(at, image[at : at + 10])]


@pytest.mark.long
def test_a_quarter_of_a_million_scattered_clusters_take_little_memory():
    bits, tables, per_table = 16, 32, 8192
    places = list(range(3 + tables, 3 + tables + tables * per_table))
    random.Random(1).shuffle(places)
    entries = struct.pack(f">{len(places)}Q", *(1 << 63 | place << bits for place in places))
    first = struct.pack(f">{tables}Q", *(1 << 63 | 3 + table << bits for table in range(tables)))
    header = bytearray(build(["plain"], ["l1"]).image[:512])
    struct.pack_into(">I", header, 20, bits)
    struct.pack_into(">QIIQQ", header, 24, len(places) << bits, 0, tables, 2 << bits, 1 << bits)
    image = bytes(header).ljust(2 << bits, b"\0") + first.ljust(1 << bits, b"\0") + entries
    file_bytes = 3 + tables + len(places) << bits
    reader = Qcow2Reader(image[: 64 << 10], file_bytes, lambda start, length: image[start : start + length])

    tracemalloc.start()
    try:
        for _ in reader.feed(memoryview(image)):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert reader.placed_up_to == 0
    assert peak < 16 << 20

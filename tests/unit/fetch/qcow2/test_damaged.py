"""A damaged or hostile image is left to qemu-img, or is truncated; it never becomes a wrong disk."""

import struct

import pytest

from precache.fetch.decoding.placements import NotStreamable, Truncated
from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.checked_decoding import decode_checked
from tests.disk_images.making import put
from tests.disk_images.qcow2_layouts import converted
from tests.unit.fetch.qcow2.building import build, parts_of
from tests.unit.fetch.qcow2.images import COMPRESSED, PLAIN, image

CLUSTERS = ["plain", "packed", "zero", "plain"] * 32
OVERLAP = "clusters or tables that overlap"
NEEDED_TWICE = "bytes that are needed twice"
COPIED, COMPRESSED_BIT = 1 << 63, 1 << 62


@pytest.fixture(scope="module")
def usual():
    return build(CLUSTERS, parts_of(CLUSTERS, 9))


@pytest.fixture(scope="module")
def late():
    """An image whose tables are behind its data."""
    return build(CLUSTERS, parts_of(CLUSTERS, 9)[::-1])


def with_entry(built, cluster, entry):
    return bytes(put(built.image, built.entries[cluster], ">Q", entry))


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(COPIED | 1024 | 2, id="reserved low bit"),
        pytest.param(COPIED | 1024 | 1 << 56, id="reserved high bit"),
        pytest.param(COPIED | 1024 | 1 << 61, id="last reserved bit"),
        pytest.param(COPIED | COMPRESSED_BIT | 1024, id="compressed and copied"),
    ],
)
def test_entry_that_is_not_understood_is_left_to_qemu_img(usual, entry):
    with pytest.raises(NotStreamable, match=r"entry 0x\w+ in a table"):
        decode_checked(Qcow2Reader, with_entry(usual, 0, entry))


@pytest.mark.parametrize("entry", [COPIED | 512 * 3, 1 << 56 | 4096, 4096 | 1])
def test_entry_of_the_first_table_that_is_not_understood_is_left_to_qemu_img(entry):
    built = build(["plain"], parts_of(["plain"], 12), 12)
    damaged = bytes(put(built.image, built.places["l1"], ">Q", entry))

    with pytest.raises(NotStreamable, match=r"entry 0x\w+ in the first table"):
        decode_checked(Qcow2Reader, damaged)


def test_cluster_that_is_not_at_the_start_of_one_is_left_to_qemu_img():
    built = build(["plain"], parts_of(["plain"], 12), 12)

    with pytest.raises(NotStreamable, match="in a table"):
        decode_checked(Qcow2Reader, with_entry(built, 0, COPIED | built.places["data", 0] + 512))


def test_cluster_of_zeros_in_version_2_is_left_to_qemu_img(usual):
    version_2 = put(usual.image, 4, ">I", 2)

    assert decode_checked(Qcow2Reader, bytes(version_2)).disk == usual.disk
    with pytest.raises(NotStreamable, match="entry 0x1 in a table"):
        decode_checked(Qcow2Reader, bytes(put(version_2, usual.entries[2], ">Q", 1)))


def test_cluster_of_zeros_may_have_a_place_that_is_not_read(usual):
    where = usual.places["data", 3]

    image = with_entry(usual, 2, COPIED | where | 1)

    assert decode_checked(Qcow2Reader, image).disk == usual.disk == converted(image)


@pytest.mark.parametrize("order", ["usual", "late"])
@pytest.mark.parametrize("target", ["l1", ("l2", 0), ("l2", 1)])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_cluster_within_a_table_is_left_to_qemu_img(request, order, target, is_compressed):
    built = request.getfixturevalue(order)
    where = built.places[target]

    with pytest.raises(NotStreamable, match=OVERLAP):
        decode_checked(
            Qcow2Reader, with_entry(built, 0, COMPRESSED_BIT | where + 8 if is_compressed else COPIED | where)
        )


def test_compressed_cluster_within_the_header_is_left_to_qemu_img(usual):
    with pytest.raises(NotStreamable, match=OVERLAP):
        decode_checked(Qcow2Reader, with_entry(usual, 0, COMPRESSED_BIT | 100))


@pytest.mark.parametrize("order", ["usual", "late"])
@pytest.mark.parametrize(("cluster", "other"), [(0, 3), (3, 0), (0, 127), (127, 0)])
def test_cluster_that_has_two_places_on_the_disk_is_exact_or_left_to_qemu_img(request, order, cluster, other):
    built = request.getfixturevalue(order)
    image = with_entry(built, cluster, COPIED | built.places["data", other])

    try:
        disk = decode_checked(Qcow2Reader, image).disk
    except NotStreamable as error:
        disk = error.reason

    # All of it is in the side file if the tables come last.
    assert disk == converted(image) if order == "late" else disk in (OVERLAP, NEEDED_TWICE)


@pytest.mark.parametrize("cluster", [1, 5, 61])
@pytest.mark.parametrize("sectors", [1, 3, 9])
def test_compressed_cluster_that_reaches_into_others_is_exact_or_left_to_qemu_img(cluster, sectors):
    clusters = ["plain", "packed", "packed", "packed"] * 16
    built = build(clusters, parts_of(clusters, 12), 12)
    (entry,) = struct.unpack_from(">Q", built.image, built.entries[cluster])
    image = with_entry(built, cluster, entry + (sectors << 58))

    try:
        disk = decode_checked(Qcow2Reader, image).disk
    except NotStreamable as error:
        disk = error.reason

    assert disk in (converted(image), OVERLAP, NEEDED_TWICE)


def test_table_that_is_used_twice_is_left_to_qemu_img(usual):
    table = usual.places["l2", 0]

    with pytest.raises(NotStreamable, match=OVERLAP):
        decode_checked(Qcow2Reader, bytes(put(usual.image, usual.places["l1"] + 8, ">Q", COPIED | table)))


def test_table_within_the_first_table_is_left_to_qemu_img(usual):
    first = usual.places["l1"]

    with pytest.raises(NotStreamable, match=OVERLAP):
        decode_checked(Qcow2Reader, bytes(put(usual.image, first + 8, ">Q", COPIED | first)))


@pytest.mark.parametrize("options", [PLAIN, COMPRESSED, ("-o", "extended_l2=on"), ("-o", "cluster_size=4k")])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_image_that_is_cut_is_truncated(options, share):
    data = image(*options)

    with pytest.raises(Truncated):
        decode_checked(Qcow2Reader, data[: int(len(data) * share)])


@pytest.mark.parametrize("order", ["usual", "late"])
def test_image_that_is_cut_anywhere_is_truncated_or_left_to_qemu_img_or_whole(request, order):
    built = request.getfixturevalue(order)
    outcomes = set()
    for end in range(4096, len(built.image), 511):
        cut = bytes(built.image[:end])
        try:
            outcomes.add(decode_checked(Qcow2Reader, cut).disk == converted(cut))
        except (NotStreamable, Truncated) as error:
            outcomes.add(type(error))

    assert outcomes <= {Truncated, NotStreamable, True}
    assert outcomes & {Truncated, NotStreamable}


@pytest.mark.parametrize("options", [PLAIN, ("-o", "preallocation=metadata"), ("-o", "extended_l2=on")])
def test_end_of_the_last_cluster_may_be_missing(options):
    data = image(*options).rstrip(b"\0")

    assert decode_checked(Qcow2Reader, data).disk == converted(data)


def test_piece_that_begins_behind_the_end_is_truncated(usual):
    end = -(-len(usual.image) // 512) * 512

    with pytest.raises(Truncated):
        decode_checked(Qcow2Reader, with_entry(usual, 0, COPIED | end))
    with pytest.raises(Truncated):
        decode_checked(Qcow2Reader, with_entry(usual, 1, COMPRESSED_BIT | end))


def test_stream_that_ends_early_or_late_is_left_to_qemu_img(usual):
    image = bytes(usual.image)
    reader = Qcow2Reader(image, len(image), lambda _offset, length: bytes(length))
    list(reader.feed(memoryview(image)[:-1]))

    with pytest.raises(NotStreamable, match="of its"):
        list(reader.finish())
    with pytest.raises(NotStreamable, match="more than its"):
        list(reader.feed(memoryview(b"ab")))

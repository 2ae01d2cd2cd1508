"""Which record becomes which image."""

import hashlib

import pytest

from precache.adapters.images_glance.record import image_from_record
from precache.core.errors import InvalidImageId
from precache.core.images import Digest, Image, parse_image_id

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
SHA512, MD5 = hashlib.sha512(b"x").hexdigest(), hashlib.md5(b"x").hexdigest()


def image(**fields):
    return image_from_record(IMAGE, {"id": IMAGE, "status": "active", **fields})


def test_a_full_record_is_taken_over():
    built = image(
        name="debian", disk_format="qcow2", size=10, virtual_size=20, os_hash_algo="sha512", os_hash_value=SHA512
    )

    assert built == Image(IMAGE, "debian", "active", "qcow2", 10, 20, Digest("sha512", SHA512))


def test_all_but_id_and_status_may_be_missing():
    assert image() == Image(IMAGE, "", "active", None, None)


def test_null_fields_are_as_good_as_missing():
    nulls = dict.fromkeys(("name", "disk_format", "size", "virtual_size", "os_hash_algo", "os_hash_value", "checksum"))

    assert image(**nulls) == image()


@pytest.mark.parametrize("size", ["10", 1.5, True, -1, []])
def test_a_size_that_is_no_number_of_bytes_is_unknown(size):
    assert image(size=size).size_bytes is None


@pytest.mark.parametrize("value", ["debian", " debian\n", 7, None, ""])
def test_what_versions_have_in_common_and_where_their_pieces_are_is_one_line(value):
    built = image(precache_family=value, precache_pieces=value)

    assert built.family.strip() == ("debian" if isinstance(value, str) and value else "")
    assert "\n" not in built.family
    assert built.pieces == (value if isinstance(value, str) else "")


def test_an_unknown_disk_format_is_kept():
    assert image(disk_format="docker").disk_format == "docker"


def test_the_multihash_is_preferred_to_the_checksum():
    assert image(os_hash_algo="sha512", os_hash_value=SHA512, checksum=MD5).digest == Digest("sha512", SHA512)


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [(None, None), ("sha512", None), ("sha512", "abc"), ("whirlpool", "ab" * 64), (5, 5)],
    ids=["none", "no value", "wrong length", "unknown algorithm", "no text"],
)
def test_without_a_usable_multihash_the_checksum_verifies(algorithm, value):
    assert image(os_hash_algo=algorithm, os_hash_value=value, checksum=MD5).digest == Digest("md5", MD5)


def test_a_hash_that_cannot_be_computed_is_logged_and_not_verified(caplog):
    built = image(os_hash_algo="whirlpool", os_hash_value="ab" * 64)

    assert built.digest is None
    assert "'whirlpool') cannot be computed here, so its data cannot be verified" in caplog.text


def test_an_id_in_another_spelling_is_the_same_image():
    assert image(id=IMAGE.upper()).id == IMAGE


@pytest.mark.parametrize("record", [None, [], "text", {}, {"id": IMAGE}, {"id": IMAGE, "status": None}])
def test_what_is_no_record_is_refused(record):
    with pytest.raises((ValueError, InvalidImageId)):
        image_from_record(IMAGE, record)

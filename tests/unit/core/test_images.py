"""Identifiers and digests are checked where they come in, so that nobody checks them again."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.errors import InvalidDigest, InvalidImageId
from precache.core.images import Digest, Image, ImageStatus, parse_image_id

CANONICAL = "70a599e0-31e7-49b7-b260-868f441e862b"
SHA256 = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        CANONICAL,
        CANONICAL.upper(),
        CANONICAL.replace("-", ""),
        CANONICAL.upper().replace("-", ""),
        f"{{{CANONICAL}}}",
        f"urn:uuid:{CANONICAL}",
    ],
)
def test_every_way_to_write_an_id_gives_its_canonical_form(text):
    assert parse_image_id(text) == CANONICAL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        CANONICAL[:-1],
        CANONICAL + "0",
        CANONICAL.replace("7", "g"),
        f" {CANONICAL}",
        f"{CANONICAL}\n",
        "../" + CANONICAL,
        CANONICAL.replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
        "\N{ARABIC-INDIC DIGIT ONE}" * 32,
    ],
)
def test_what_is_not_an_id_is_refused_with_what_was_given(text):
    with pytest.raises(InvalidImageId) as caught:
        parse_image_id(text)

    assert repr(text) in str(caught.value)


@given(st.uuids())
def test_every_uuid_is_an_id_and_parsing_it_again_changes_nothing(uuid):
    once = parse_image_id(uuid.hex.upper())

    assert once == str(uuid)
    assert parse_image_id(once) == once


@given(st.text(max_size=40))
def test_whatever_is_accepted_is_canonical(text):
    try:
        parsed = parse_image_id(text)
    except InvalidImageId:
        return
    assert parsed == str(UUID(parsed))


@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"])
def test_a_digest_is_accepted_for_every_algorithm_of_the_image_service(name):
    value = hashlib.new(name, b"data").hexdigest()

    assert str(Digest.parse(name.upper(), value.upper())) == f"{name}:{value}"


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("sha256", SHA256[:-1]),
        ("sha256", SHA256 + "0"),
        ("sha512", SHA256),
        ("sha256", "x" * 64),
        ("sha256", ""),
        ("crc32", "00000000"),
        ("shake_128", SHA256),
        ("", SHA256),
    ],
)
def test_a_digest_that_cannot_be_verified_is_refused(algorithm, value):
    with pytest.raises(InvalidDigest):
        Digest.parse(algorithm, value)


@pytest.mark.parametrize("status", ImageStatus)
def test_only_an_active_image_has_data_to_give(status):
    image = Image(parse_image_id(CANONICAL), "debian", status, "qcow2", 1)

    assert image.is_active == (status is ImageStatus.ACTIVE)

"""Signed images, fetched: with real keys, real certificates and the library that Nova has its check from."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.signatures_cursive import CursiveSignatures
from precache.core.errors import KeyManagerUnavailable, SignatureRefused
from precache.core.images import ImageSignature
from tests.unit.fetch.signing import MemoryCertificates, certificate, new_key, signature_of
from tests.unit.fetch.world import record_of

DATA = os.urandom(3_000_000)
KEY_TYPES = ["RSA-PSS", "DSA", "ECC_SECP384R1"]


@pytest.fixture(scope="module")
def keys():
    return {key_type: new_key(key_type) for key_type in KEY_TYPES}


def signatures(*, trusted=(), must_validate=False, **certificates):
    return CursiveSignatures(
        certificates=MemoryCertificates(**certificates), trusted=trusted, must_validate=must_validate
    )


def fetch(world, checks, signature, data=DATA):
    return world.fetch(data, record=record_of(data, signature=signature), signatures=checks)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_image_that_was_signed_is_cached(world, keys, key_type):
    key = keys[key_type]
    checks = signatures(cert=certificate("signer", key))

    path = fetch(world, checks, signature_of(DATA, key, key_type, "cert"))

    assert path.read_bytes() == DATA


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_image_with_another_images_signature_is_refused_and_leaves_nothing(world, keys, key_type):
    key = keys[key_type]
    checks = signatures(cert=certificate("signer", key))

    with pytest.raises(SignatureRefused, match=r"Image signature verification failed for image .* does not match"):
        fetch(world, checks, signature_of(DATA[:-1], key, key_type, "cert"))

    assert world.litter() == []


def test_converted_image_is_checked_by_what_was_downloaded(world, keys, make_image, disk_bytes):
    key, data = keys["RSA-PSS"], make_image("qcow2")
    checks = signatures(cert=certificate("signer", key))
    good = signature_of(data, key, "RSA-PSS", "cert")

    path = world.fetch(data, record=record_of(data, "qcow2", signature=good), signatures=checks)
    assert path.read_bytes() == disk_bytes
    assert world.decoded_by == "qemu-img (its signature is verified)"
    path.unlink()

    bad = signature_of(DATA, key, "RSA-PSS", "cert")
    with pytest.raises(SignatureRefused):
        world.fetch(data, record=record_of(data, "qcow2", signature=bad), signatures=checks)
    assert world.litter() == []


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("signature", "img_signature"),
        ("hash_method", "img_signature_hash_method"),
        ("key_type", "img_signature_key_type"),
        ("certificate_id", "img_signature_certificate_uuid"),
    ],
)
def test_image_without_a_part_of_its_signature_is_refused_unread(world, keys, missing, named):
    key = keys["RSA-PSS"]
    whole = signature_of(DATA, key, "RSA-PSS", "cert")

    with pytest.raises(SignatureRefused, match=f"Missing property: {named}"):
        fetch(world, signatures(cert=certificate("signer", key)), replace(whole, **{missing: None}))

    assert world.images.requests == []


def test_image_that_is_not_signed_at_all_is_refused_unread(world):
    with pytest.raises(SignatureRefused, match="Required image properties for signature verification do not exist"):
        fetch(world, signatures(), ImageSignature())

    assert world.images.requests == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"certificate_id": "other"}, "Certificate not found with ID: other"),
        ({"certificate_id": "broken"}, "Invalid certificate with ID: broken"),
        ({"hash_method": "MD5"}, "Invalid signature hash method: MD5"),
        ({"key_type": "ROT13"}, "Invalid signature key type: ROT13"),
        ({"key_type": "DSA"}, "Invalid public key type for signature key type: DSA"),
    ],
)
def test_signature_that_cannot_be_checked_is_refused_unread(world, keys, change, reason):
    key = keys["RSA-PSS"]
    checks = signatures(cert=certificate("signer", key), broken=b"no certificate")

    with pytest.raises(SignatureRefused, match=reason):
        fetch(world, checks, replace(signature_of(DATA, key, "RSA-PSS", "cert"), **change))

    assert world.images.requests == []


def test_key_manager_that_is_down_lets_nothing_in(world, keys):
    class Down:
        def get(self, certificate_id):
            raise KeyManagerUnavailable(certificate_id, "connection refused")

    checks = CursiveSignatures(certificates=Down(), trusted=(), must_validate=False)

    with pytest.raises(KeyManagerUnavailable, match="Unable to retrieve certificate with ID: cert"):
        fetch(world, checks, signature_of(DATA, keys["RSA-PSS"], "RSA-PSS", "cert"))

    assert world.images.requests == []
    assert world.litter() == []


def authority_and(keys, **changes):
    """Return certificates of an authority, and of a signer that it vouches for."""
    authority = certificate("authority", keys["ECC_SECP384R1"], is_authority=True)
    signer = certificate("signer", keys["RSA-PSS"], issuer="authority", issuer_key=keys["ECC_SECP384R1"], **changes)
    return {"authority": authority, "cert": signer}


def test_certificate_that_a_trusted_one_has_signed_is_accepted(world, keys):
    checks = signatures(trusted=["authority"], must_validate=True, **authority_and(keys))

    assert fetch(world, checks, signature_of(DATA, keys["RSA-PSS"], "RSA-PSS", "cert")).read_bytes() == DATA


@pytest.mark.parametrize(
    ("trusted", "changes"),
    [
        (["stranger"], {}),
        (["missing"], {}),
        (["authority"], {"ends_at": datetime.now(UTC) - timedelta(hours=1)}),
    ],
)
def test_certificate_that_no_trusted_one_has_signed_or_that_has_expired_is_refused(world, keys, trusted, changes):
    stranger = certificate("stranger", keys["DSA"], is_authority=True)
    checks = signatures(trusted=trusted, must_validate=True, stranger=stranger, **authority_and(keys, **changes))

    with pytest.raises(SignatureRefused, match="Image signature certificate validation failed for certificate: cert"):
        fetch(world, checks, signature_of(DATA, keys["RSA-PSS"], "RSA-PSS", "cert"))

    assert world.images.requests == []


def test_validation_without_any_trusted_certificate_refuses_every_image(world, keys):
    checks = signatures(must_validate=True, **authority_and(keys))

    with pytest.raises(SignatureRefused, match="no trusted certificate IDs were provided"):
        fetch(world, checks, signature_of(DATA, keys["RSA-PSS"], "RSA-PSS", "cert"))

"""Which images are decoded while they arrive, and what is reported of the others."""

from dataclasses import replace

import pytest

from precache.core.images import Digest
from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.stream_choice import decoder_name, needs_no_download, why_qemu_img
from tests.unit.fetch.world import BY_QEMU_IMG, record_of

RULES = FetchRules()
QCOW2 = record_of(b"data", "qcow2")
VMDK = record_of(b"data", "vmdk")
UNSAVED = Digest.parse("blake2b", "00" * 64)


@pytest.mark.parametrize(
    ("image", "rules", "parts", "name"),
    [
        (QCOW2, RULES, {}, "stream"),
        (VMDK, RULES, {}, "stream"),
        (replace(QCOW2, digest=None), RULES, {}, "stream"),
        (record_of(b"data", "vdi"), RULES, {}, "qemu-img"),
        (QCOW2, BY_QEMU_IMG, {}, "qemu-img"),
        (VMDK, FetchRules(vmdk_types=("monolithicSparse",)), {}, "qemu-img"),
        (QCOW2, RULES, {"verifies_signatures": True}, "qemu-img (its signature is verified)"),
        (replace(QCOW2, size_bytes=None), RULES, {}, "qemu-img (its size is unknown)"),
        (replace(QCOW2, digest=UNSAVED), RULES, {}, "qemu-img (its blake2b hash cannot be paused on this host)"),
        (QCOW2, RULES, {"kept_bytes": BLOCK_BYTES - 1}, "stream"),
        (QCOW2, RULES, {"kept_bytes": BLOCK_BYTES}, "qemu-img (a part of it was downloaded before)"),
    ],
)
def test_an_image_is_decoded_while_it_arrives_unless_a_pause_or_a_check_needs_its_file(image, rules, parts, name):
    reason = why_qemu_img(image, rules=rules, **({"verifies_signatures": False, "kept_bytes": 0} | parts))

    assert decoder_name(reason) == name


@pytest.mark.parametrize(
    ("disk_format", "rules", "verifies_signatures", "expected"),
    [
        ("qcow2", RULES, False, True),
        ("vmdk", RULES, False, False),
        ("raw", RULES, False, False),
        ("qcow2", RULES, True, False),
        ("qcow2", BY_QEMU_IMG, False, False),
        ("qcow2", FetchRules(force_raw_images=False), False, False),
    ],
)
def test_a_plan_counts_no_download_only_if_the_format_tells(disk_format, rules, verifies_signatures, expected):
    found = needs_no_download(disk_format, rules=rules, verifies_signatures=verifies_signatures)

    assert found is expected

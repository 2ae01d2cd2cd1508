"""Whether images must be signed, as the configuration has it."""

from __future__ import annotations

import sys

import pytest

from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration, SignatureRefused
from precache.core.images import Image, ImageId
from precache.wiring.signatures import image_signatures

UNSIGNED = Image(ImageId("70a599e0-31e7-49b7-b260-868f441e862b"), "n", "active", "raw", 1)


def configured(tmp_path, text):
    file = tmp_path / "precache.conf"
    file.write_text(f"[glance]\n{text}\n")
    return load_config([file])


@pytest.mark.parametrize(
    "text", ["", "enable_certificate_validation = true", "default_trusted_certificate_ids = one, two"]
)
def test_no_signature_is_asked_for_where_nova_asks_for_none(tmp_path, text):
    assert image_signatures(configured(tmp_path, text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "verify_glance_signatures = true",
        "enable_certificate_validation = true\ndefault_trusted_certificate_ids = one, two",
    ],
)
def test_unsigned_image_is_refused_where_nova_would_refuse_it(tmp_path, text):
    checks = image_signatures(configured(tmp_path, text))

    with pytest.raises(SignatureRefused):
        checks.begin(UNSIGNED)


def test_missing_packages_stop_the_start_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cursive", None)
    monkeypatch.delitem(sys.modules, "precache.adapters.signatures_cursive", raising=False)

    with pytest.raises(InvalidConfiguration, match=r"pip install 'precache\[signatures\]'"):
        image_signatures(configured(tmp_path, "verify_glance_signatures = true"))

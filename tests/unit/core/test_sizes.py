"""Sizes as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.sizes import DiskAmount, human_bytes

GIB = 1 << 30


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1_300_000_000, "1.2 GiB"),
        (5 * 1024**6, "5120.0 PiB"),
    ],
)
def test_sizes_are_written_with_the_largest_unit_that_fits(size_bytes: int | None, text: str) -> None:
    assert human_bytes(size_bytes) == text


@given(st.integers(min_value=0, max_value=1024**5))
def test_no_size_needs_more_than_ten_characters(size_bytes: int) -> None:
    assert len(human_bytes(size_bytes)) <= 10


@pytest.mark.parametrize(
    ("text", "amount", "of_200_gib", "shown"),
    [
        ("5%", DiskAmount(percent=5), 10 * GIB, "5%"),
        ("2.5 %", DiskAmount(percent=2.5), 5 * GIB, "2.5%"),
        ("0%", DiskAmount(), 0, "0 B"),
        ("0", DiskAmount(), 0, "0 B"),
        ("20GiB", DiskAmount(20 * GIB), 20 * GIB, "20.0 GiB"),
        (" 1.5 TiB ", DiskAmount(1536 * GIB), 1536 * GIB, "1.5 TiB"),
        ("512MiB", DiskAmount(GIB // 2), GIB // 2, "512.0 MiB"),
        ("4096", DiskAmount(4096), 4096, "4.0 KiB"),
    ],
)
def test_an_amount_of_a_disk_is_a_share_or_a_size(text: str, amount: DiskAmount, of_200_gib: int, shown: str) -> None:
    assert DiskAmount.parse(text) == amount
    assert amount.of(200 * GIB) == of_200_gib
    assert str(amount) == shown


@pytest.mark.parametrize("text", ["", "-1", "101%", "5 percent", "20GB", "20 gib", "1e3", "٥%", "%", "9000000PiB"])
def test_other_text_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 5%, a size such as 20GiB, or 0"):
        DiskAmount.parse(text)

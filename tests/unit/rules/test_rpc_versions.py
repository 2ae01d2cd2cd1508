"""Versions of messages: the second number adds, the first one breaks."""

import pytest

from precache.rules.rpc_versions import understands


@pytest.mark.parametrize(
    ("spoken", "needed", "understood"),
    [
        ("1.0", "1.0", True),
        ("1.10", "1.9", True),
        ("1.9", "1.10", False),
        ("2.0", "1.0", False),
        ("1.9", "2.0", False),
        ("", "1.0", False),
        ("1", "1.0", False),
        ("1.0.1", "1.0", False),
    ],
)
def test_a_version_understands_the_lower_ones_of_its_first_number(spoken, needed, understood):
    assert understands(spoken, needed) is understood

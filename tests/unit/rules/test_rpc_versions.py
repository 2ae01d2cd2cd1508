"""Versions of messages: the second number adds, the first one breaks."""

import pytest

from precache.rules.rpc_versions import is_newer, understands


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


def test_versions_are_compared_number_by_number():
    assert is_newer("1.10", "1.9")
    assert is_newer("2.0", "1.9")
    assert not is_newer("1.0", "1.0")
    assert not is_newer("0.9", "1.0")

"""What can name a host or a cell."""

import pytest

from precache.core.names import is_name


@pytest.mark.parametrize("name", ["cell1", "cmp-1.example.org", "a_b", "_cmp", "-a", ".a", "..a", "7", "x" * 255])
def test_plain_names_are_names(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", " ", "cell 1", "cell1\n", "\x00", "\x1b[31m", "a/b", "a:b", "zürich", "\udcff", "x" * 256]
)
def test_text_that_a_column_or_url_or_terminal_would_change_is_not_a_name(name):
    assert not is_name(name)

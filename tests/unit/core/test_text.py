"""Text from elsewhere becomes one line that everything takes, and what was one already stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.text import plain_line, short_digest

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no space on \N{SNOWMAN}", "no space on \N{SNOWMAN}"),
        ("a\x1b]0;b\r\nc\x00", "a ]0;b c "),
        ("/images/caf\udce9.raw is short", "/images/caf\\udce9.raw is short"),
        ("half a \ud83d pair", "half a \\ud83d pair"),
        ("x" * 5000, "x" * 1000),
    ],
)
def test_a_line_is_what_an_operator_can_read(text, line):
    assert plain_line(text) == line


@given(ANY_TEXT, st.integers(1, 40))
def test_any_text_becomes_a_short_line_that_utf_8_can_write(text, length):
    line = plain_line(text, length)

    line.encode("utf-8")
    assert len(line) <= length
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in line)
    assert plain_line(line, length) == line


def test_a_digest_in_a_sentence_is_short_and_of_what_is_no_digest_nothing_is_lost():
    assert short_digest("tree-sha256:" + "0a" * 32) == "tree-sha256:0a0a0a0a0a0a..."
    assert [short_digest(text) for text in ("", "md5:0a", "no digest at all")] == ["", "md5:0a", "no digest at all"]

"""Bodies in chunks: every split gives the same body, and what is wrong never gives one."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.wiring.http.chunked_body import ChunkedBody


def encoded(pieces: list[bytes], end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


@given(st.lists(st.binary(min_size=1, max_size=300)), st.integers(1, 400))
def test_a_body_comes_whole_in_whatever_pieces_and_nothing_beyond_it_is_read(pieces, size):
    source = io.BytesIO(encoded(pieces) + b"GET /")
    chunks, blocks = ChunkedBody(source), []

    while block := chunks.read(size):
        blocks.append(block)

    assert b"".join(blocks) == b"".join(pieces)
    assert all(len(block) == size for block in blocks[:-1])
    assert chunks.closed
    assert source.read() == b"GET /"


def test_extensions_and_trailers_are_read_over():
    source = io.BytesIO(b"A;name=value\r\n0123456789\r\n0 \r\nX-Sum: 1\r\n\r\nGET /")

    assert ChunkedBody(source).read() == b"0123456789"
    assert source.read() == b"GET /"


@pytest.mark.parametrize(
    "body",
    [
        b"ZZZ\r\nab\r\n0\r\n\r\n",
        b"-5\r\nab\r\n0\r\n\r\n",
        b"+2\r\nab\r\n0\r\n\r\n",
        b"0x2\r\nab\r\n0\r\n\r\n",
        b"0_2\r\nab\r\n0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"2\nab\r\n0\r\n\r\n",
        b"\r\n",
        b"f" * 1000,
        b"0\r\n" + b"X: 1\r\n" * 1000,
    ],
)
def test_what_are_no_chunks_is_refused(body):
    chunks = ChunkedBody(io.BytesIO(body))

    with pytest.raises(ValueError, match=r"chunk|trailers"):
        chunks.read()

    assert not chunks.closed


@given(st.integers(0, len(encoded([b"abc", b"defg"])) - 1))
def test_a_body_that_breaks_off_is_no_body(length):
    with pytest.raises(ConnectionError):
        ChunkedBody(io.BytesIO(encoded([b"abc", b"defg"])[:length])).read()

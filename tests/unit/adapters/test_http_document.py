"""Documents of servers that send too much, too slowly, or half of it."""

import gzip
from datetime import timedelta

import pytest

from precache.adapters.http import HttpRequestFailed, open_session, read_document
from tests.unit.adapters.faulty_server import FaultyServer, http

AMPLE = timedelta(seconds=30)


def read(answer, *, longest_bytes=100, patience=AMPLE):
    with FaultyServer(answer) as server, open_session().get(server.url, stream=True) as received:
        return read_document(received, server.url, longest_bytes=longest_bytes, patience=patience)


def test_a_document_is_what_it_says():
    assert read(http("200 OK", b'{"images": [1, null]}')) == {"images": [1, None]}


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe\xfa", b"[" * 100_000, b"[" * 900 + b"]" * 900])
def test_what_is_no_json_is_no_document(body):
    assert read(http("200 OK", body), longest_bytes=1 << 20) is None


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b" " * 101),
        http("200 OK", b" " * 101, Content_Length=None),
        http("200 OK", gzip.compress(b" " * 1_000_000), Content_Encoding="gzip"),
    ],
    ids=["announced", "until the end", "compressed"],
)
def test_a_document_without_an_end_is_refused(answer):
    with pytest.raises(HttpRequestFailed, match="more than 100 bytes"):
        read(answer)


def test_a_document_that_takes_for_ever_times_out():
    with pytest.raises(HttpRequestFailed, match="did not end within 0 s"):
        read(http("200 OK", b"{}"), patience=timedelta())


def test_half_a_document_is_invalid():
    with pytest.raises(HttpRequestFailed, match="before the end"):
        read(http("200 OK", b"{}", Content_Length="100"))

"""GlanceImages against a server that goes wrong in every way that we could think of: the data."""

import contextlib
import threading
from contextlib import closing
from datetime import timedelta

import pytest

from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.core.errors import ImageServiceUnavailable, NoImageData, TransferInterrupted
from precache.core.images import parse_image_id
from tests.unit.adapters.faulty_server import HOLD, FaultyServer, http

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
SOON = timedelta(seconds=0.2)  # only ever waited for by a server that would be silent for ever


def images_at(url, **options):
    return GlanceImages(session=open_session(), endpoint=url, **options)


@contextlib.contextmanager
def opened(answer, offset=0, **options):
    with FaultyServer(answer) as server, closing(images_at(server.url, **options).open(IMAGE, offset)) as stream:
        yield stream


def read_until_it_fails(stream):
    buffer, data = memoryview(bytearray(64)), b""
    try:
        while count := stream.readinto(buffer):
            data += buffer[:count]
    except TransferInterrupted as error:
        return data, error
    return pytest.fail("the stream ended as if it were complete")


def test_all_of_the_data_is_asked_for_without_a_range_and_unpacked():
    with FaultyServer(http("200 OK", b"data")) as server, closing(images_at(server.url).open(IMAGE)) as stream:
        assert stream.remaining_bytes == 4

    assert f"GET /v2/images/{IMAGE}/file HTTP/1.1" in server.requests[0]
    assert "Accept-Encoding: identity\r\n" in server.requests[0]
    assert "Range:" not in server.requests[0]


def test_a_resumed_transfer_asks_for_the_range_to_the_end():
    answer = http("206 Partial Content", b"ta", Content_Range="bytes 2-3/4")
    with FaultyServer(answer) as server, closing(images_at(server.url).open(IMAGE, 2)) as stream:
        assert stream.remaining_bytes == 2

    assert "Range: bytes=2-\r\n" in server.requests[0]


@pytest.mark.parametrize("answer", [http("204 No Content", Content_Length=None), http("200 OK", b"")])
def test_an_image_without_data_is_distinguished(answer):
    with FaultyServer(answer) as server, pytest.raises(NoImageData):
        images_at(server.url).open(IMAGE)


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b"data"),
        http("416 Range Not Satisfiable", Content_Range="bytes */2"),
        http("206 Partial Content", b"ta"),
        http("206 Partial Content", b"ata", Content_Range="bytes 1-3/4"),
        http("206 Partial Content", b"t", Content_Range="bytes 2-2/4"),
        http("206 Partial Content", b"tax", Content_Range="bytes 2-3/4"),
        http("206 Partial Content", b"ta", Content_Range="pages two to three"),
    ],
    ids=["whole", "unsatisfiable", "no range", "other start", "not to the end", "other length", "nonsense"],
)
def test_a_resume_that_is_not_what_was_asked_for_is_an_interruption(answer):
    with FaultyServer(answer) as server, pytest.raises(TransferInterrupted) as raised:
        images_at(server.url).open(IMAGE, 2)

    assert raised.value.received_bytes == 2


def test_a_part_that_was_not_requested_is_refused():
    part = http("206 Partial Content", b"ta", Content_Range="bytes 2-3/4")
    with FaultyServer(part) as server, pytest.raises(ImageServiceUnavailable):
        images_at(server.url).open(IMAGE)


def test_packed_data_is_refused():
    packed = http("200 OK", b"\x1f\x8b", Content_Encoding="gzip")
    with FaultyServer(packed) as server, pytest.raises(ImageServiceUnavailable, match="gzip"):
        images_at(server.url).open(IMAGE)


def test_an_early_end_says_how_much_arrived_and_how_much_should_have():
    with opened(http("200 OK", b"x" * 100, Content_Length="1000")) as stream:
        data, error = read_until_it_fails(stream)

    assert data == b"x" * 100
    assert (error.received_bytes, error.expected_bytes) == (100, 1000)


def test_an_early_end_has_a_message_of_its_own():
    with opened(http("200 OK", b"1234567", Content_Length="10")) as stream:
        _, error = read_until_it_fails(stream)

    assert str(error).endswith(": the connection broke: it was closed before the end")


def test_what_another_server_says_is_quoted_on_one_short_line():
    answer = b"SSH-2.0\x1b[2J" + b"x" * 500 + b"\r\n"
    with FaultyServer(answer) as server, pytest.raises(ImageServiceUnavailable) as failure:
        images_at(server.url).open(IMAGE)

    assert str(failure.value).endswith("failed: SSH-2.0 [2J" + "x" * 189)
    assert str(failure.value).isprintable()


def test_an_early_end_of_a_resumed_transfer_counts_from_the_start_of_the_image():
    answer = http("206 Partial Content", b"x" * 10, Content_Length="95", Content_Range="bytes 5-99/100")
    with opened(answer, 5) as stream:
        _, error = read_until_it_fails(stream)

    assert (error.received_bytes, error.expected_bytes) == (15, 100)


def test_a_stall_ends_with_the_read_timeout():
    with opened((http("200 OK", b"x" * 100, Content_Length="1000"), HOLD), read_timeout=SOON) as stream:
        data, error = read_until_it_fails(stream)

    assert len(data) == error.received_bytes == 100
    assert "no data arrived" in str(error)


def test_bytes_beyond_the_announced_length_are_not_given():
    with opened(http("200 OK", b"data and more", Content_Length="4")) as stream:
        buffer = memoryview(bytearray(64))
        counts = [stream.readinto(buffer), stream.readinto(buffer)]

    assert counts == [4, 0]


def test_chunked_data_come_without_an_announced_length():
    chunked = http("200 OK", b"4\r\ndata\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")
    with opened(chunked) as stream:
        buffer = memoryview(bytearray(64))
        counts = [stream.readinto(buffer), stream.readinto(buffer)]

    assert stream.remaining_bytes is None
    assert (counts, bytes(buffer[:4])) == ([4, 0], b"data")


@pytest.mark.parametrize(
    ("headers", "is_marked"),
    [
        ({"Content_Length": "4"}, True),
        ({"Content_Length": None, "Transfer_Encoding": "chunked"}, True),
        ({"Content_Length": None}, False),
    ],
)
def test_stream_knows_whether_its_end_differs_from_a_broken_connection(headers, is_marked):
    with opened(http("200 OK", b"4\r\ndata\r\n0\r\n\r\n", **headers)) as stream:
        assert stream.has_marked_end is is_marked


@pytest.mark.parametrize("body", [b"4\r\nda", b"4\r\ndata\r\n", b"4\r\ndata\r\nzz\r\n"])
def test_chunked_data_that_end_early_are_an_interruption(body):
    chunked = http("200 OK", body, Content_Length=None, Transfer_Encoding="chunked")
    with opened(chunked) as stream:
        _, error = read_until_it_fails(stream)

    assert error.expected_bytes is None


def test_closing_from_another_thread_ends_a_blocked_read():
    with FaultyServer((http("200 OK", b"x" * 10, Content_Length="1000"), HOLD)) as server:
        stream = images_at(server.url).open(IMAGE)
        stream.readinto(memoryview(bytearray(10)))
        closer = threading.Timer(0.05, stream.close)
        closer.start()

        with pytest.raises(TransferInterrupted, match="the stream was closed") as raised:
            stream.readinto(memoryview(bytearray(10)))

        closer.join(10)
        assert not closer.is_alive()
    assert raised.value.received_bytes == 10

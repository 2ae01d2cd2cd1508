"""The thread that writes to the sockets of all readers of events, without an HTTP server."""

import socket
import threading
from datetime import timedelta

import pytest

from precache.api.events.frames import HEARTBEAT
from precache.wiring.http.event_sender import EventSender
from tests.waiting import wait_until

PATIENCE = timedelta(seconds=5)


class ListedStream:
    """A stream that has these parts, and an end if it is set."""

    def __init__(self, *parts, is_finished=False):
        self.parts = list(parts)
        self.is_finished, self.is_cut, self.is_closed = is_finished, False, False
        self.expires_at = float("inf")

    def take(self):
        return self.parts.pop(0) if self.parts else b""

    def close(self):
        self.is_closed = True


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def sending():
    """Return a function that makes a sender and stops it at the end."""
    senders = []

    def make(**kwargs):
        senders.append(EventSender(**kwargs))
        return senders[-1]

    yield make
    for sender in senders:
        sender.stop(PATIENCE)


def received(sock):
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(("is_chunked", "expected"), [(True, b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), (False, b"onetwo")])
def test_a_finished_stream_arrives_whole_with_its_end(sending, pair, is_chunked, expected):
    stream = ListedStream(b"one", b"two", is_finished=True)

    sending().add(pair[0], stream, is_chunked=is_chunked, release=pair[0].close)

    assert received(pair[1]) == expected
    assert stream.is_closed


def test_a_silent_stream_sends_comments(sending, pair):
    sending(heartbeat_s=0.01).add(pair[0], ListedStream(), is_chunked=False, release=pair[0].close)

    assert pair[1].recv(len(HEARTBEAT), socket.MSG_WAITALL) == HEARTBEAT


def test_a_reader_that_takes_nothing_is_cut_off(sending, pair):
    stream = ListedStream(b"x" * 10_000_000)

    sending(stall_s=0.01).add(pair[0], stream, is_chunked=True, release=pair[0].close)

    wait_until(lambda: stream.is_closed)
    assert len(received(pair[1])) < 10_000_000


def test_a_reader_that_missed_events_is_closed_without_a_regular_end(sending, pair):
    sender, stream = sending(), ListedStream(b"one")
    sender.add(pair[0], stream, is_chunked=True, release=pair[0].close)
    assert pair[1].recv(100) == b"3\r\none\r\n"

    stream.is_cut = True
    sender.wake()

    assert received(pair[1]) == b""


def test_what_a_reader_sends_is_discarded_until_it_closes(sending, pair):
    stream = ListedStream()
    sending().add(pair[0], stream, is_chunked=True, release=pair[0].close)

    pair[1].sendall(b"more" * 10_000)
    stream.parts.append(b"one")
    stream.wake()
    assert pair[1].recv(100) == b"3\r\none\r\n"
    pair[1].close()

    wait_until(lambda: stream.is_closed)


def test_a_sender_without_readers_has_no_thread(sending):
    before = threading.active_count()
    sender = sending()
    sender.wake()

    assert threading.active_count() == before

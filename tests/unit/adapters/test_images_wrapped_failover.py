"""Several image servers as one: which is asked, when the next one is, and what is final."""

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from precache.adapters.images_memory import ImageFaults, MemoryImages
from precache.adapters.images_wrapped import Failover
from precache.background.cancel_token import CancelToken
from precache.core.errors import (
    ImageNotFound,
    ImageServiceUnavailable,
    ServiceTokenUnavailable,
    TransferInterrupted,
)
from precache.core.images import Image, parse_image_id
from precache.core.stopping import StopReason

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
DATA = b"some data"
RECORD = Image(IMAGE, "debian", "active", "raw", len(DATA))


@dataclass
class Server:
    """An image server; `failure` is what it raises instead of an answer."""

    name: str
    failure: Exception | None = None
    inner: Any = field(default_factory=lambda: MemoryImages(images={IMAGE: (RECORD, DATA)}))
    calls: int = 0

    def away(self, reason="Connection refused"):
        self.failure = ImageServiceUnavailable(self.name, reason)
        return self

    def show_to(self, caller_token, image):
        return self._asked().show_to(caller_token, image)

    def show(self, image):
        return self._asked().show(image)

    def open(self, image, offset_bytes=0, *, stop):
        return self._asked().open(image, offset_bytes, stop=stop)

    def _asked(self):
        self.calls += 1
        if self.failure:
            raise self.failure
        return self.inner


def calls(*servers):
    return [server.calls for server in servers]


@pytest.mark.parametrize(
    "ask",
    [
        lambda images: images.show(IMAGE),
        lambda images: images.show_to("token", IMAGE),
        lambda images: images.open(IMAGE, 2).close(),
    ],
    ids=["show", "show_to", "open"],
)
def test_the_next_server_is_asked_when_one_is_down(ask):
    one, two = Server("one").away(), Server("two")

    ask(Failover([one, two]))

    assert calls(one, two) == [1, 1]


def test_the_server_that_answered_is_kept_to():
    one, two = Server("one").away(), Server("two")
    images = Failover([one, two])

    images.show(IMAGE)
    one.failure = None
    images.show(IMAGE)

    assert calls(one, two) == [1, 2]


def test_after_the_last_server_comes_the_first_again():
    one, two = Server("one").away(), Server("two")
    images = Failover([one, two])
    images.show(IMAGE)
    one.failure = None
    two.away()

    assert images.show(IMAGE) == RECORD
    assert calls(one, two) == [2, 2]


def test_what_one_server_says_of_an_image_is_final():
    one, two = Server("one", failure=ImageNotFound(IMAGE)), Server("two")

    with pytest.raises(ImageNotFound):
        Failover([one, two]).show(IMAGE)

    assert calls(one, two) == [1, 0]


def test_a_keystone_that_is_down_is_asked_once_and_not_for_each_server():
    one, two = Server("one", failure=ServiceTokenUnavailable("keystone", "away")), Server("two")

    with pytest.raises(ServiceTokenUnavailable):
        Failover([one, two]).show(IMAGE)

    assert calls(one, two) == [1, 0]


def test_when_all_are_down_each_is_named_with_its_reason():
    images = Failover([Server("one").away(), Server("two").away("HTTP status 503")])

    with pytest.raises(ImageServiceUnavailable, match=r"one: Connection refused; two: HTTP status 503"):
        images.show(IMAGE)


def test_no_other_server_is_asked_after_a_cancel():
    one, two = Server("one").away(), Server("two")

    cancelled = CancelToken()
    cancelled.cancel(StopReason.ABANDONED)

    with pytest.raises(ImageServiceUnavailable):
        Failover([one, two]).open(IMAGE, stop=cancelled)

    assert calls(one, two) == [1, 0]


def test_a_transfer_that_breaks_continues_at_the_next_server():
    faulty = MemoryImages(images={IMAGE: (RECORD, DATA)}, faults={IMAGE: ImageFaults(breaks_at=[4])})
    one, two = Server("one", inner=faulty), Server("two")
    images, buffer = Failover([one, two]), memoryview(bytearray(20))
    with closing(images.open(IMAGE)) as stream:
        begun = stream.readinto(buffer)
        with pytest.raises(TransferInterrupted):
            stream.readinto(buffer)

    with closing(images.open(IMAGE, begun)) as stream:
        rest = stream.readinto(buffer[begun:])

    assert bytes(buffer[: begun + rest]) == DATA
    assert calls(one, two) == [1, 1]


def test_a_transfer_that_was_closed_says_nothing_against_its_server():
    one, two = Server("one"), Server("two")
    images = Failover([one, two])
    stream = images.open(IMAGE)
    stream.close()
    with pytest.raises(TransferInterrupted):
        stream.readinto(memoryview(bytearray(1)))

    images.show(IMAGE)

    assert calls(one, two) == [2, 0]


def test_no_servers_at_all_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        Failover([])

"""What the wrappers of an ImageSource add."""

import threading
from contextlib import closing
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import ImageFaults, MemoryImages
from precache.adapters.images_wrapped import Limited, Retrying
from precache.background.cancel_token import CancelToken
from precache.background.threads import call_in_thread
from precache.core.errors import ImageNotFound, ImageServiceUnavailable
from precache.core.images import Image, parse_image_id
from precache.core.stopping import StopReason

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
NOT_AT_ALL = timedelta()


def source(**options):
    record = Image(IMAGE, "debian", "active", "raw", 4)
    return MemoryImages(images={IMAGE: (record, b"data")}, **options)


class Flaky:
    """Fails so many times with the error, then shows the image."""

    def __init__(self, failures, error):
        self._inner, self._failures, self._error = source(), failures, error
        self.calls = 0

    def show(self, image):
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return self._inner.show(image)

    def open(self, image, offset_bytes=0, *, stop):
        return self._inner.open(image, offset_bytes, stop=stop)


class TestLimited:
    def test_no_more_streams_are_open_than_there_are_places(self):
        images = Limited(source(), connections=2, patience=NOT_AT_ALL)
        streams = [images.open(IMAGE), images.open(IMAGE)]

        with pytest.raises(ImageServiceUnavailable, match="all 2 connections"):
            images.open(IMAGE)

        streams[0].close()
        assert images.open(IMAGE).remaining_bytes == 4

    def test_a_waiting_open_continues_when_a_stream_is_closed(self):
        images = Limited(source(), connections=1)
        first, opened = images.open(IMAGE), threading.Event()
        waiting = threading.Thread(target=lambda: images.open(IMAGE) and opened.set())
        waiting.start()

        assert not opened.is_set()
        first.close()

        assert opened.wait(10)
        waiting.join(10)

    def test_a_wait_ends_soon_after_a_cancel(self):
        images = Limited(source(), connections=1)
        images.open(IMAGE)
        stop = CancelToken()

        waiting = call_in_thread(lambda: images.open(IMAGE, stop=stop), name="waits for a place")
        stop.cancel(StopReason.ABANDONED)

        with pytest.raises(ImageServiceUnavailable, match="the request for the image has ended"):
            waiting.result(10)

    def test_closing_a_stream_twice_gives_back_one_place(self):
        images = Limited(source(), connections=1, patience=NOT_AT_ALL)
        stream = images.open(IMAGE)
        stream.close()
        stream.close()

        images.open(IMAGE)

        with pytest.raises(ImageServiceUnavailable):
            images.open(IMAGE)

    def test_an_open_that_fails_keeps_no_place(self):
        images = Limited(source(faults={IMAGE: ImageFaults(failing_opens=1)}), connections=1, patience=NOT_AT_ALL)
        with pytest.raises(ImageServiceUnavailable, match="refused"):
            images.open(IMAGE)

        with closing(images.open(IMAGE)) as stream:
            buffer = bytearray(4)
            count = stream.readinto(memoryview(buffer))

        assert (count, bytes(buffer)) == (4, b"data")

    def test_records_are_shown_while_all_places_are_taken(self):
        images = Limited(source(), connections=1, patience=NOT_AT_ALL)
        images.open(IMAGE)

        assert images.show(IMAGE).name == "debian"

    def test_no_places_at_all_are_refused(self):
        with pytest.raises(ValueError, match="at least one"):
            Limited(source(), connections=0)


class TestRetrying:
    def test_a_service_that_is_down_is_retried_with_growing_pauses(self):
        clock = MemoryClock()
        start = clock.now()
        flaky = Flaky(2, ImageServiceUnavailable("memory", "away"))

        image = Retrying(flaky, clock=clock, attempts=3).show(IMAGE)

        assert image.name == "debian"
        assert clock.now() - start == timedelta(seconds=1 + 2)

    def test_the_last_failure_is_passed_on(self):
        flaky = Flaky(9, ImageServiceUnavailable("memory", "away"))

        with pytest.raises(ImageServiceUnavailable):
            Retrying(flaky, clock=MemoryClock(), attempts=3).show(IMAGE)

        assert flaky.calls == 3

    def test_what_will_not_change_is_not_tried_again(self):
        flaky = Flaky(9, ImageNotFound(IMAGE))

        with pytest.raises(ImageNotFound):
            Retrying(flaky, clock=MemoryClock()).show(IMAGE)

        assert flaky.calls == 1

    def test_open_is_not_retried(self):
        images = source(faults={IMAGE: ImageFaults(failing_opens=1)})

        with pytest.raises(ImageServiceUnavailable):
            Retrying(images, clock=MemoryClock()).open(IMAGE)

        assert len(images.requests) == 1

"""One unbroken stream from a service that breaks: every byte once, bounded attempts, a stop that is heard."""

import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import ImageFaults, MemoryImages
from precache.core.errors import (
    ImageServiceUnavailable,
    ImageTooLong,
    NoImageData,
    TransferInterrupted,
    TransferTooSlow,
)
from precache.fetch.growing_file import Abandoned
from precache.fetch.resume import ResumingStream
from precache.rules.throughput import MinThroughput, ThroughputMonitor
from tests.unit.fetch.world import IMAGE, record_of

DATA = bytes(range(256)) * 8


def stream_of(faults, *, data=DATA, retries=3, clock=None, **changes):
    images = MemoryImages(images={IMAGE: (record_of(data, **changes), data)}, faults={IMAGE: faults})
    record = images.show(IMAGE)
    return images, ResumingStream(images=images, image=record, clock=clock or MemoryClock(), retries=retries)


def read_all(stream, size=100):
    received, buffer = b"", memoryview(bytearray(size))
    while count := stream.readinto(buffer):
        received += bytes(buffer[:count])
    return received


@given(
    breaks=st.sets(st.integers(0, len(DATA)), max_size=10),
    longest_read=st.integers(1, 3000),
    has_ranges=st.booleans(),
)
def test_every_byte_arrives_once_wherever_the_connection_breaks(breaks, longest_read, has_ranges):
    faults = ImageFaults(breaks_at=breaks, longest_read=longest_read, has_ranges=has_ranges)
    # Without ranges every break costs two attempts, and a later break may hit while skipping.
    _, stream = stream_of(faults, retries=50)

    assert read_all(stream, 700) == DATA


def test_transfer_resumes_at_the_first_missing_byte():
    images, stream = stream_of(ImageFaults(breaks_at={300}))

    read_all(stream)

    assert images.requests == [(IMAGE, 0), (IMAGE, 300)]


def test_service_without_ranges_is_read_again_from_the_start():
    images, stream = stream_of(ImageFaults(breaks_at={300}, has_ranges=False))

    assert read_all(stream) == DATA
    assert images.requests == [(IMAGE, 0), (IMAGE, 300), (IMAGE, 0)]


def test_service_without_ranges_has_not_failed_an_attempt():
    _, stream = stream_of(ImageFaults(breaks_at={300}, has_ranges=False), retries=1)

    assert read_all(stream) == DATA


def test_interruption_is_reported_with_the_size_of_the_record():
    _, stream = stream_of(ImageFaults(ends_at=1000, has_ranges=False, announces_length=False), retries=1)

    with pytest.raises(TransferInterrupted, match="ended after 1000 of 2048 bytes: the data ended early"):
        read_all(stream)


def test_break_after_the_last_byte_does_not_matter():
    images, stream = stream_of(ImageFaults(breaks_at={len(DATA)}), retries=0)

    assert read_all(stream) == DATA
    assert len(images.requests) == 1


def test_data_that_ends_early_every_time_fails_after_the_allowed_retries():
    images, stream = stream_of(ImageFaults(ends_at=1000), retries=2)

    with pytest.raises(TransferInterrupted, match="1000 of 2048 bytes") as failure:
        read_all(stream)

    assert failure.value.received_bytes == 1000
    assert [offset for _, offset in images.requests] == [0, 1000, 1000]


def test_progress_resets_the_count_of_failures():
    _, stream = stream_of(ImageFaults(breaks_at=range(0, len(DATA), 100)), retries=1)

    assert read_all(stream) == DATA


def test_service_that_is_down_for_a_moment_is_asked_again():
    clock = MemoryClock()
    began = clock.now()
    _, stream = stream_of(ImageFaults(failing_opens=2), clock=clock)

    assert read_all(stream) == DATA
    assert clock.now() - began == timedelta(seconds=1 + 2)


def test_service_that_stays_down_is_an_error():
    _, stream = stream_of(ImageFaults(failing_opens=99), retries=3)

    with pytest.raises(ImageServiceUnavailable):
        read_all(stream)


@pytest.mark.parametrize("announces_length", [True, False])
def test_more_than_the_record_promised_is_refused(announces_length):
    _, stream = stream_of(ImageFaults(surplus=b"more", announces_length=announces_length))

    with pytest.raises(ImageTooLong):
        read_all(stream)


def test_longer_announcement_than_the_record_is_refused_before_a_byte_is_read():
    _, stream = stream_of(ImageFaults(), size_bytes=len(DATA) - 1)

    with pytest.raises(ImageTooLong):
        stream.readinto(memoryview(bytearray(10)))


@pytest.mark.parametrize("size_bytes", [len(DATA), None])
def test_no_byte_at_all_is_no_image_data(size_bytes):
    _, stream = stream_of(ImageFaults(ends_at=0), size_bytes=size_bytes)

    with pytest.raises(NoImageData):
        read_all(stream)


def test_unknown_size_ends_where_the_data_ends():
    _, stream = stream_of(ImageFaults(announces_length=False), size_bytes=None)

    assert read_all(stream) == DATA


def test_closing_ends_a_read_that_waits():
    _, stream = stream_of(ImageFaults(stalls_at=500))
    endings = []

    def read():
        try:
            read_all(stream)
        except Abandoned:
            endings.append("abandoned")

    reader = threading.Thread(target=read)
    reader.start()
    stream.close()
    reader.join(10)

    assert endings == ["abandoned"]


def test_closed_stream_is_never_opened_again():
    images, stream = stream_of(ImageFaults())
    stream.close()

    with pytest.raises(Abandoned):
        stream.readinto(memoryview(bytearray(10)))

    assert images.requests == []


class Seconds:
    """A clock that each read from the image service moves on."""

    def __init__(self, for_each_read):
        self.now, self._for_each_read = 0.0, for_each_read
        self._is_end = False

    def __call__(self):
        if self._is_end:  # it is asked before and after each read
            self.now += self._for_each_read
        self._is_end = not self._is_end
        return self.now


def dripping(seconds_for_each_read, *, longest_read=8, least_bytes_per_s=10, **faults):
    faults = ImageFaults(longest_read=longest_read, **faults)
    images = MemoryImages(images={IMAGE: (record_of(DATA), DATA)}, faults={IMAGE: faults})
    stream = ResumingStream(
        images=images,
        image=images.show(IMAGE),
        clock=MemoryClock(),
        retries=3,
        least_rate=MinThroughput(least_bytes_per_s, timedelta(seconds=60)),
        monotonic=Seconds(seconds_for_each_read),
    )
    return images, stream


def test_transfer_that_only_drips_is_dropped_each_window_and_ends_after_the_retries_with_the_reason():
    images, stream = dripping(2)

    with pytest.raises(TransferTooSlow, match=r"only \d+ bytes arrived in 60 s, but \[glance\] min_throughput is"):
        read_all(stream)

    assert len(images.requests) == 4
    assert images.requests[1][1] > 0  # it went on where the first connection ended


def test_transfer_that_is_just_fast_enough_keeps_its_connection():
    images, stream = dripping(0.7)

    assert read_all(stream) == DATA
    assert len(images.requests) == 1


def test_connections_that_break_after_a_few_bytes_each_are_too_slow_together():
    _, stream = dripping(0.1, breaks_at=set(range(0, len(DATA), 3)))

    with pytest.raises(TransferTooSlow):
        read_all(stream)


def test_slow_connection_is_kept_where_the_next_one_would_begin_at_the_start():
    images, stream = dripping(25, has_ranges=False)

    with pytest.raises(TransferTooSlow, match=r"\[image_cache\] precache_concurrency"):
        read_all(stream, 8)

    assert [offset for _, offset in images.requests] == [0, 24, 0]


def test_bytes_that_are_read_again_are_no_progress():
    """Every connection brings a few new bytes after all the old ones, which come fast."""
    _, stream = dripping(0.001, breaks_at=set(range(1000, len(DATA), 3)), has_ranges=False, longest_read=500)

    with pytest.raises(TransferTooSlow):
        read_all(stream)


def test_any_pace_will_do_where_none_is_asked_for():
    _, stream = dripping(100, least_bytes_per_s=0)

    assert read_all(stream) == DATA


def test_last_bytes_of_a_slow_transfer_are_not_thrown_away():
    _, stream = dripping(61, longest_read=len(DATA), least_bytes_per_s=1 << 20)

    assert read_all(stream, len(DATA)) == DATA


@given(stalls=st.lists(st.floats(0, 59), max_size=20))
def test_pace_counts_whole_windows(stalls):
    pace = ThroughputMonitor(MinThroughput(10, timedelta(seconds=60)))

    slow = []
    for seconds in stalls:
        pace.add(seconds, 0)
        slow.append(pace.take_slow_window())

    assert slow.count(0) == pace.slow_windows
    assert pace.slow_windows <= sum(stalls) / 60

"""A paused download goes on where it ended: the real driver, and a real image service that counts what it sends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from precache.core.cache_contents import ImageSize
from precache.core.jobs import Outcome, Phase, TaskPaused
from precache.imagecache.names import entry_name
from precache.ports.compute_gateway import CallNumber
from tests.system.slow_qemu_img import SlowQemuImg
from tests.unit.wiring.host_world import BY_QEMU_IMG, MIB, PATIENCE, PATIENCE_S, World, image_of, start_host
from tests.waiting import wait_until

SIZE_MIB = 12

WAYS = [("raw", ""), ("qcow2", BY_QEMU_IMG)]
"""The format of an image, and settings of the host."""


@pytest.fixture
def images(tmp_path):
    directory = tmp_path / "images"
    directory.mkdir()
    return directory


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(tmp_path, images, stack):
    """Return a function that starts a host beside such an image service."""
    return lambda **options: start_host(tmp_path, images, stack, newest_only=True, **options)


def size_of(images):
    return next(images.iterdir()).stat().st_size


@contextmanager
def downloading(host, request, blocks=5):
    """Have the host download so many blocks of a request; yield the pending answer."""
    with ThreadPoolExecutor(1) as threads:
        before, requests = host.slow.sent_bytes, host.slow.data_requests
        running = threads.submit(host.compute.process_images, request)
        wait_until(lambda: host.slow.data_requests > requests or running.done())
        for _ in range(blocks - 1):
            host.slow.send_block()
        wait_until(lambda: host.slow.sent_bytes == before + blocks * MIB or running.done())
        wait_until(lambda: has_all(host, request) or running.done())
        assert not running.done(), running.result()
        yield running


def has_all(host, request):
    done = [each.bytes_done for each in host.hearing.progress if each.job_id == request.job_id]
    return bool(done) and done[-1] == host.slow.sent_bytes


def pause(host, request, blocks=5):
    """Pause the request after so many blocks; return what the host keeps."""
    with downloading(host, request, blocks) as running:
        began = time.monotonic()
        host.compute.pause_job(request.job_id, request.retry_count, CallNumber("test", 1))
        (result,) = running.result(PATIENCE_S)
    print(f"paused in {time.monotonic() - began:.2f} s")  # for `pytest -rP`; the machine is shared
    assert isinstance(result, TaskPaused)
    return result.bytes_kept


def finish(host, request):
    """Have the host cache the image; the service sends the rest to it, and nothing to clients that have left."""
    requests = host.slow.data_requests
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(host.compute.process_images, request)
        wait_until(lambda: host.slow.data_requests > requests or running.done())
        host.slow.release()
        (result,) = running.result(PATIENCE_S)
    assert result.outcome is Outcome.CACHED, result.reason
    return result


def kept_names(request):
    (image,) = request.images
    return sorted(f"{entry_name(image)}.precache-kept-{kind}" for kind in ("data", "record"))


@contextmanager
def restarted(host, tmp_path):
    """Yield another compute for the same directories, as after a restart."""
    again = World(tmp_path, host.slow, host.settings)
    again.compute.start()
    yield again
    again.compute.stop(PATIENCE)


@pytest.mark.parametrize(("disk_format", "settings"), WAYS)
def test_any_job_goes_on_where_a_paused_one_ended_also_after_a_restart(world, images, tmp_path, disk_format, settings):
    image_of(images, disk_format, SIZE_MIB)
    host = world(settings=settings)
    request = host.request()

    kept = pause(host, request)

    assert kept == host.slow.sent_bytes == 5 * MIB
    assert sorted(host.left_behind()) == kept_names(request)
    with restarted(host, tmp_path) as again:
        assert pause(again, request, 3) == again.slow.sent_bytes == 8 * MIB
        result = finish(again, host.request("another"))
    assert result.bytes_moved == size_of(images)
    assert host.slow.sent_bytes == size_of(images)
    assert host.left_behind() == [entry_name(result.image)]
    if disk_format == "raw":
        assert entry(host, request).read_bytes() == next(images.iterdir()).read_bytes()


def test_a_pause_while_it_converts_keeps_the_whole_download(world, images, tmp_path, monkeypatch):
    image_of(images, "qcow2")
    qemu_img = SlowQemuImg(tmp_path)
    monkeypatch.setenv("PATH", qemu_img.environment["PATH"])
    host = world(sends_freely=1, settings=BY_QEMU_IMG)
    request = host.request()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(host.compute.process_images, request)
        wait_until(lambda: host.has_reported(Phase.CONVERTING, 4 * MIB) and qemu_img.has_begun)
        host.compute.pause_job("job", 0, CallNumber("test", 1))
        assert running.result(PATIENCE_S) == [TaskPaused(request.images[0], size_of(images))]
    monkeypatch.undo()

    (result,) = host.compute.process_images(request)

    assert result.outcome is Outcome.CACHED
    assert host.slow.sent_bytes == size_of(images)


def test_a_task_that_waits_to_go_on_shows_what_is_kept(world, images):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    pause(host, host.request())
    before = len(host.hearing.progress)

    finish(host, host.request("another"))

    reports = [(each.bytes_done, each.bytes_total) for each in host.hearing.progress[before:]]
    assert min(reports) >= (5 * MIB, 0)
    assert max(reports) == (size_of(images), size_of(images))


def test_the_plan_of_a_job_needs_space_only_for_the_rest(world, images):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    request = host.request()
    pause(host, request)

    contents = host.compute.describe_cache([ImageSize(request.images[0], size_of(images), None, "raw")])

    assert (contents.held, contents.needed_bytes) == (frozenset(), size_of(images) - 5 * MIB)


def cancel(compute):
    compute.cancel_job("job")


def pause_first(compute):
    compute.pause_job("job", 0, CallNumber("test", 1))


@pytest.mark.parametrize(("stop", "is_paused"), [(cancel, False), (pause_first, True)])
def test_another_job_that_waits_for_the_image_goes_on_with_what_is_there(world, images, stop, is_paused):
    image_of(images, "qcow2", SIZE_MIB)
    host = world(settings=BY_QEMU_IMG)
    other = host.request("other")

    with ThreadPoolExecutor(1) as threads, downloading(host, host.request()) as running:
        second = threads.submit(host.compute.process_images, other)
        wait_until(lambda: host.has_reported_waiting_for("other"))
        stop(host.compute)
        (first,) = running.result(PATIENCE_S)
        assert isinstance(first, TaskPaused) is is_paused
        wait_until(lambda: host.slow.data_requests == 2)
        host.slow.release()
        assert second.result(PATIENCE_S)[0].outcome is Outcome.CACHED

    assert host.slow.sent_bytes == size_of(images)
    assert host.left_behind() == [entry_name(other.images[0])]


def test_two_jobs_for_one_image_download_it_once_and_both_end_true(world, images):
    image_of(images, "raw")
    host = world()

    with ThreadPoolExecutor(1) as threads, downloading(host, host.request(), 2) as running:
        second = threads.submit(host.compute.process_images, host.request("other"))
        wait_until(lambda: host.has_reported_waiting_for("other"))
        host.slow.release()

        outcomes = [each.result(PATIENCE_S)[0].outcome for each in (running, second)]

    assert outcomes == [Outcome.CACHED, Outcome.EXISTING]
    assert host.slow.sent_bytes == size_of(images)


@pytest.mark.parametrize("stop", [cancel, pause_first])
def test_a_job_that_waits_for_its_turn_ends_at_once(world, images, stop):
    image_of(images, "raw")
    host = world()

    with ThreadPoolExecutor(1) as threads, downloading(host, host.request("busy"), 2) as running:
        waiting = threads.submit(host.compute.process_images, host.request())
        wait_until(lambda: host.has_reported_waiting_for("job"))
        stop(host.compute)
        (result,) = waiting.result(PATIENCE_S)
        assert result == TaskPaused(result.image) if stop is pause_first else result.outcome is Outcome.CANCELLED
        host.slow.release()

        assert running.result(PATIENCE_S)[0].outcome is Outcome.CACHED


def damage(host, request):
    with data_of(host, request).open("r+b") as file:
        file.seek(3 * MIB)
        file.write(b"damaged")


def shorten(host, request):
    os.truncate(data_of(host, request), 3 * MIB)


def spoil_record(host, request):
    data_of(host, request).with_name(kept_names(request)[1]).write_text("{")


@pytest.mark.parametrize(("disk_format", "settings"), WAYS)
@pytest.mark.parametrize("spoil", [damage, shorten, spoil_record])
def test_what_does_not_fit_any_more_is_fetched_from_the_start(world, images, spoil, disk_format, settings):
    image_of(images, disk_format, SIZE_MIB)
    host = world(settings=settings)
    request = host.request()
    pause(host, request)

    spoil(host, request)

    result = finish(host, request)
    assert host.slow.sent_bytes >= 5 * MIB + size_of(images)
    assert host.left_behind() == [entry_name(result.image)]
    if disk_format == "raw":
        assert entry(host, request).read_bytes() == next(images.iterdir()).read_bytes()


def test_a_cancel_of_the_paused_job_removes_what_was_kept(world, images):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    request = host.request()
    pause(host, request)

    host.compute.cancel_job("other")
    assert sorted(host.left_behind()) == kept_names(request)
    host.compute.cancel_job("job")

    assert host.left_behind() == []


@pytest.mark.parametrize(("job", "is_kept"), [("job", False), ("other", True)])
def test_a_cancel_while_it_goes_on_removes_what_no_other_job_has_paused(world, images, job, is_kept):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    request = host.request()
    pause(host, request)

    with downloading(host, host.request(job), 2) as running:
        host.compute.cancel_job(job)
        assert running.result(PATIENCE_S)[0].outcome is Outcome.CANCELLED

    assert sorted(host.left_behind()) == (kept_names(request) if is_kept else [])


def test_the_last_of_two_cancelled_jobs_leaves_nothing(world, images):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    pause(host, host.request())
    second = host.request("second")

    with downloading(host, second, 2) as running:
        host.compute.cancel_job("job")
        host.compute.pause_job("second", 0, CallNumber("test", 2))
        assert running.result(PATIENCE_S) == [TaskPaused(second.images[0], 7 * MIB)]
    host.compute.cancel_job("second")

    assert host.left_behind() == []


def test_a_paused_job_keeps_what_a_cancelled_one_has_received_for_it(world, images):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    request, second = host.request(), host.request("second")
    pause(host, request)

    host.compute.pause_job("second", 0, CallNumber("test", 2))
    paused = host.compute.process_images(replace(second, call=CallNumber("test", 1)))
    host.compute.cancel_job("job")

    assert paused == [TaskPaused(second.images[0], 5 * MIB)]
    assert sorted(host.left_behind()) == kept_names(request)
    host.compute.cancel_job("second")
    assert host.left_behind() == []


def test_a_job_that_cannot_go_on_loses_what_it_has_paused(world, images):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    request = host.request()
    pause(host, request)
    next(images.iterdir()).unlink()

    (result,) = host.compute.process_images(request)

    assert (result.outcome, result.may_pass) == (Outcome.ERROR, False)
    assert host.left_behind() == []


def test_a_job_that_is_cancelled_while_it_pauses_leaves_nothing(world, images):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    request = host.request()

    with downloading(host, request) as running:
        host.compute.pause_job(request.job_id, request.retry_count, CallNumber("test", 1))
        host.compute.cancel_job(request.job_id)
        running.result(PATIENCE_S)

    assert host.left_behind() == []


@pytest.mark.parametrize("option", ["paused_images = 0", "paused_bytes = 5242879"])
def test_a_host_that_may_keep_nothing_or_less_downloads_again(world, images, option):
    image_of(images, "raw", SIZE_MIB)
    host = world(settings=f"[image_cache]\n{option}\n")
    request = host.request()

    kept = pause(host, request)

    assert (kept, host.left_behind()) == (0, [])


def test_another_limit_applies_to_the_running_download_at_once(world, images):
    image_of(images, "raw", SIZE_MIB)
    host = world(sends_freely=1)
    request = replace(host.request(rate_limit_bytes_per_s=1000), call=CallNumber("test", 1))

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(host.compute.process_images, request)
        wait_until(lambda: host.has_reported(Phase.DOWNLOADING, 1))
        assert not running.done()  # it would take three hours
        host.compute.limit_job("job", {request.images[0]: None}, CallNumber("test", 2))

        assert running.result(PATIENCE_S)[0].outcome is Outcome.CACHED


def entry(host, request):
    return host.instances / "_base" / entry_name(request.images[0])


def data_of(host, request):
    return entry(host, request).with_name(kept_names(request)[0])


def test_a_kill_while_a_paused_download_goes_on_loses_nothing(world, images, tmp_path):
    image_of(images, "raw", SIZE_MIB)
    host = world()
    request = host.request()
    pause(host, request)
    sent = host.slow.sent_bytes
    command = [sys.executable, "-m", "tests.unit.wiring.killed_host", str(tmp_path), host.slow.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"goes on\n"
        assert len(host.files()) > len(kept_names(request))
        process.kill()
        process.wait(PATIENCE_S)

    with restarted(host, tmp_path) as again:
        assert sorted(again.left_behind()) == kept_names(request)
        lost = host.slow.sent_bytes - sent  # to the process that was killed
        finish(again, request)

    assert host.slow.sent_bytes == size_of(images) + lost
    assert entry(host, request).read_bytes() == next(images.iterdir()).read_bytes()

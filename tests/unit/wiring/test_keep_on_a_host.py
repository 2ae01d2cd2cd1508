"""A host keeps an image beside nova-compute: the real driver and the passes of the compute, as they are wired."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack

import pytest

from precache.core.jobs import Outcome
from tests.unit.wiring.host_world import MIB, PATIENCE, World, image_of, start_host
from tests.waiting import wait_until

SETTINGS = "[image_cache]\nowner = {}\nmanager_interval = -1\nremove_unused_original_minimum_age_seconds = {}\n"


@pytest.fixture
def world(tmp_path):
    """Return a function that starts a host beside an image service with one image."""
    images = tmp_path / "images"
    images.mkdir()
    image_of(images, "raw", size_mib=1)
    with ExitStack() as stack:
        yield lambda owner="nova", age_s=2: start_host(tmp_path, images, stack, settings=SETTINGS.format(owner, age_s))


def make_older(path, seconds=1000):
    then = time.time() - seconds
    os.utime(path, (then, then))


def is_young(path):
    return time.time() - path.stat().st_mtime < 100


def record_of(host):
    return entry_of(host).with_name(f"{entry_of(host).name}.precache")


def entry_of(host):
    (name,) = [name for name in host.files() if "." not in name]
    return host.instances / "_base" / name


@pytest.mark.parametrize("owner", ["nova", "precache"])
def test_a_kept_image_is_touched_without_a_request_also_after_a_restart(world, tmp_path, owner):
    host = world(owner)
    (result,) = host.compute.process_images(host.request(keep_for_s=3600))
    make_older(entry_of(host))
    wait_until(lambda: is_young(entry_of(host)))

    host.compute.stop(PATIENCE)
    make_older(entry_of(host))
    again = World(tmp_path, host.slow, SETTINGS.format(owner, 2))
    again.compute.start()
    try:
        wait_until(lambda: is_young(entry_of(host)))
    finally:
        again.compute.stop(PATIENCE)

    assert result.outcome is Outcome.CACHED


def test_the_pin_goes_when_the_time_is_over_and_the_image_stays_for_its_owner(world):
    host = world()
    host.compute.process_images(host.request(keep_for_s=1))
    assert "pins" in json.loads(record_of(host).read_text())

    wait_until(lambda: "pins" not in json.loads(record_of(host).read_text()))

    assert entry_of(host).stat().st_size == MIB


def test_where_nova_removes_unused_images_at_once_the_task_says_that_none_can_be_kept(world):
    host = world(age_s=0)

    (result,) = host.compute.process_images(host.request(keep_for_s=60))

    assert result.outcome is Outcome.ERROR
    assert "remove_unused_original_minimum_age_seconds is 0" in result.reason
    assert len(host.files()) == 1

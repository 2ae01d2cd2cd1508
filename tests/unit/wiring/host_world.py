"""A libvirt host beside an image service over HTTP that sends as far as a test lets it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import urllib.request
from datetime import timedelta

from precache.config.load import load_config
from precache.core.images import parse_image_id
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder, OrderOptions
from precache.imagecache.names import parse_record
from precache.ports.compute_gateway import ImagesRequest
from precache.wiring.hosts import build_compute, image_service
from tests.cache_files import files_of
from tests.contract.hearing import Hearing
from tests.lab.slow_images import slow_images

MIB = 1 << 20
PATIENCE_S = 60
PATIENCE = timedelta(seconds=PATIENCE_S)

BY_QEMU_IMG = "[image_cache]\ndecode_while_streaming = false\n"


class World:
    """A libvirt host, and an image service with one image that sends as far as a test lets it."""

    def __init__(self, tmp_path, slow, settings=""):
        file = tmp_path / "precache.conf"
        file.write_text(f"[glance]\nendpoint_override = {slow.url}\n{settings}")
        self.slow, self.settings = slow, settings
        self.hearing = Hearing()
        self.instances = tmp_path / "instances"
        config = load_config([file])
        self.compute = build_compute(
            config=config,
            host="cmp-1",
            cell="",
            driver="libvirt",
            instances_path=self.instances,
            images=image_service(config, slow.url),
            signatures=None,
            reports=self.hearing,
            cache_reports=self.hearing,
            progress=self.hearing,
        )

    def request(self, job="job", priority=50, **options):
        with urllib.request.urlopen(f"{self.slow.url}/v2/images") as answer:
            (image,) = json.load(answer)["images"]
        order = ImageOrder(parse_image_id(image["id"]), OrderOptions(**options))
        return ImagesRequest(job, "cmp-1", "", (order,), priority=priority)

    def has_reported(self, phase, bytes_done=0):
        return any(each.phase is phase and each.bytes_done >= bytes_done for each in self.hearing.progress)

    def has_reported_waiting_for(self, job):
        return any(each.job_id == job and each.phase is Phase.WAITING for each in self.hearing.progress)

    def files(self):
        """Return the files in the cache, without the records of its entries."""
        names = [path.name for path in files_of(self.instances / "_base")]
        return [name for name in names if parse_record(name) not in names]

    def left_behind(self):
        """Return the files in the cache and the threads that still work on an image."""
        threads = [thread.name for thread in threading.enumerate() if thread.name.startswith(("reader-", "converter-"))]
        return self.files() + threads


def start_host(tmp_path, images, stack, *, settings="", **options):
    """Return a started host; `stack` stops it and the image service. options: of `slow_images`."""
    slow = stack.enter_context(slow_images(images, tmp_path / "index.json", **options))
    made = World(tmp_path, slow, settings)
    made.compute.start()
    stack.callback(made.compute.stop, PATIENCE)
    return made


def image_of(images, disk_format, size_mib=4):
    raw = images / "web.raw"
    raw.write_bytes(random.Random(size_mib).randbytes(size_mib * MIB))
    file = raw
    if disk_format != "raw":
        file = images / f"web.{disk_format}"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", disk_format, raw, file], check=True)
        raw.unlink()
    os.utime(file, (file.stat().st_mtime - 60,) * 2)  # a file that was written a moment ago is not served yet

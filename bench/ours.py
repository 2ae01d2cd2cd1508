"""Precache's side: the libvirt driver of a compute, in a process of its own that reads commands as lines.

    python -m bench.ours FOLDER GLANCE_URL IMAGE_ID

Prints `ready` when everything is imported and built. For every line that it reads it calls `cache_image` once and
prints the seconds, the result and what has decoded the image as JSON. `bench/novas.py` does the same with Nova's
driver, which has one way only.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from precache.config.load import load_config
from precache.core.images import parse_image_id
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.wiring.hosts import build_driver, host_setup, image_fetcher, image_service


def main() -> None:
    folder, url, image = Path(sys.argv[1]), sys.argv[2], parse_image_id(sys.argv[3])
    config = load_config([])
    fetcher = image_fetcher(config=config, images=image_service(config, url))
    setup = host_setup(config=config, host="bench", instances_path=folder / "instances", fetcher=fetcher)
    driver = build_driver("libvirt", setup)
    driver.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        watch = _Watch()
        start = time.perf_counter()
        was_fetched = driver.cache_image(ImageOrder(image), watch)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "fetched": was_fetched, "decoded_by": watch.decoded_by}), flush=True)


class _Watch:
    """Notes what has decoded the image; the benchmark does not use the progress."""

    decoded_by = ""

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        pass

    def note_decoder(self, decoded_by: str) -> None:
        self.decoded_by = decoded_by


if __name__ == "__main__":
    main()

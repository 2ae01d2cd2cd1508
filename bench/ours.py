"""Precache's side: the libvirt driver of a compute, in a process of its own that reads commands as lines.

    python -m bench.ours FOLDER GLANCE_URL IMAGE_ID

Prints `ready` when everything is imported and built. For every line that it reads it calls `cache_image` once and
prints the seconds and the result as JSON. `bench/novas.py` does the same with Nova's driver.
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
        start = time.perf_counter()
        was_fetched = driver.cache_image(ImageOrder(image), _ignore)
        print(json.dumps({"seconds": time.perf_counter() - start, "fetched": was_fetched}), flush=True)


def _ignore(phase: Phase, bytes_done: int, bytes_total: int) -> None:
    """Do nothing: the benchmark does not use the progress."""


if __name__ == "__main__":
    main()

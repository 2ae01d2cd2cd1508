"""A host in a process of its own: `python -m tests.unit.wiring.killed_host DIRECTORY URL`; the test kills it.

It works on the image of the service at URL, and prints a line when data arrives.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

from tests.unit.wiring.host_world import World


def main(directory: Path, url: str) -> None:
    host = World(directory, SimpleNamespace(url=url))
    host.compute.start()
    host.hearing.add = print_when_it_goes_on
    host.compute.process_images(host.request())


def print_when_it_goes_on(progress) -> None:
    if progress.bytes_done > 5 << 20:
        print("goes on", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

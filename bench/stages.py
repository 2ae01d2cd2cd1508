"""The stages of caching an image, each alone and at full speed: the lower bound for a perfect overlap.

At the end of a stage its output is on the disk (fsync), as with Nova and Precache.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

_BUFFER_BYTES = 1 << 20


def download(url: str, path: Path) -> float:
    """Return the seconds of one plain GET request whose data is written to a file as it arrives."""
    address = urlsplit(url)
    start = time.perf_counter()
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", address.path)
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    with connection.getresponse() as answer, path.open("wb", buffering=0) as file:
        if answer.status != http.client.OK:
            raise RuntimeError(f"GET {url}: {answer.status} {answer.reason}")
        while count := answer.readinto(buffer):
            file.write(buffer[:count])
        os.fsync(file.fileno())
    connection.close()
    return time.perf_counter() - start


def digest(path: Path) -> float:
    """Return the seconds of a sha512 over the file, which is in the page cache."""
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        hashlib.file_digest(file, "sha512")
    return time.perf_counter() - start


def convert(source: Path, target: Path) -> float:
    """Return the seconds of the faster of qemu-img's two ways to raw: past the page cache (Nova's), and through it."""
    return min(_convert(source, target, cache) for cache in ("none", "writeback"))


def _convert(source: Path, target: Path, cache: str) -> float:
    target.unlink(missing_ok=True)
    os.sync()
    start = time.perf_counter()
    subprocess.run(["qemu-img", "convert", "-t", cache, "-f", "qcow2", "-O", "raw", source, target], check=True)
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - start

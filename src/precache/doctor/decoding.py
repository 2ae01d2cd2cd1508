"""On a host: what decodes images while they arrive, and whether such a download can be paused."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.metadata import version

from precache.config.load import Config
from precache.doctor.findings import Finding, ok, skipped, warning
from precache.fetch.decoding.inflaters import HAS_ZLIB_NG
from precache.fetch.resumable_hash import can_be_saved

ALGORITHMS = ("sha512", "sha256", "md5")
"""Glance's default, the faster choice, and that of images without `os_hash_algo`."""


def check_decoding(config: Config) -> Iterator[Finding]:
    """Check the libraries."""
    if not config.host.force_raw_images:
        yield skipped("[DEFAULT] force_raw_images is false, so no image is decoded")
    elif not config.image_cache.decode_while_streaming:
        yield skipped("[image_cache] decode_while_streaming is false, so qemu-img decodes every image")
    else:
        yield judge_inflaters(has_zlib_ng=HAS_ZLIB_NG)
        yield judge_hashes([algorithm for algorithm in ALGORITHMS if not can_be_saved(algorithm)])


def judge_inflaters(*, has_zlib_ng: bool) -> Finding:
    """Return the finding on the libraries that expand compressed images."""
    zstd = f"those with zstd by zstandard {version('zstandard')}"
    if not has_zlib_ng:
        return warning(
            f"compressed images are expanded by zlib, {zstd}",
            "install the Python package zlib-ng, if this processor has one: it takes half of the processor time",
        )
    return ok(f"compressed images are expanded by zlib-ng {version('zlib-ng')}, {zstd}")


def judge_hashes(missing: Collection[str]) -> Finding:
    """Return the finding on hashes that can be stored. missing: the algorithms with which that is not possible."""
    if not missing:
        return ok("an image that is decoded while it arrives can be paused")
    return warning(
        f"the state of the hash {', '.join(missing)} cannot be stored, so images with it are decoded by qemu-img",
        "install OpenSSL 3 where this Python finds it, as libcrypto.so.3",
    )

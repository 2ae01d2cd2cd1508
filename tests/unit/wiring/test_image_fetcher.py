"""What the configuration of a host changes in how it fetches images."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from precache.adapters.images_memory import MemoryImages
from precache.config.load import load_config
from precache.core.images import Image, ImageId
from precache.core.orders import ImageOrder
from precache.imagecache.staging import Staging
from precache.wiring.hosts import image_fetcher

IMAGE = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")


@pytest.mark.parametrize(("option", "decoder"), [("", "stream"), ("decode_while_streaming = false\n", "qemu-img")])
def test_a_plain_qcow2_is_decoded_while_it_arrives_unless_that_is_off(
    tmp_path: Path, option: str, decoder: str
) -> None:
    file, config, cache = tmp_path / "disk.qcow2", tmp_path / "precache.conf", tmp_path / "cache"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(file), "1M"], check=True)
    config.write_text(f"[image_cache]\n{option}")
    cache.mkdir()
    data = file.read_bytes()
    record = Image(id=IMAGE, name="empty", status="active", disk_format="qcow2", size_bytes=len(data))
    fetcher = image_fetcher(config=load_config([config]), images=MemoryImages(images={IMAGE: (record, data)}))

    fetched = fetcher.fetch(ImageOrder(IMAGE), Staging(cache, "entry"), lambda _phase, _done, _total: None)

    assert fetched.decoded_by == decoder
    assert fetched.entry.read_bytes() == bytes(1 << 20)

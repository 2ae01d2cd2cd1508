"""The entry of a host is what qemu-img makes of the image, whoever has decoded it: the whole way of a fetch."""

import random
import re

import pytest

from precache.core.errors import PrecacheError
from precache.fetch.fetch_rules import FetchRules
from tests.disk_images.qcow2_layouts import HISTORIES, OPTIONS, Layout, converted, covering, image_of
from tests.disk_images.qcow2_mutants import Change, changed
from tests.unit.fetch.qcow2.small_images import small_images

SOME = [
    Layout("snapshot deleted", cluster_bytes=4096, compression="zlib", is_odd=True),
    Layout("zeroed", cluster_bytes=16384, is_extended=True, compression="zstd"),
    Layout("grown until L1 moved", cluster_bytes=512, compat="0.10"),
    Layout("reverted", compression="zlib"),
    Layout("stripped", cluster_bytes=2 << 20, preallocation="metadata"),
    Layout("written backwards", refcount_bits=64),
]


def check(world, layout: Layout) -> None:
    image = image_of(layout)

    # The inspectors refuse subclusters, as an unknown feature.
    path = world.fetch(image, "qcow2", rules=FetchRules(deep_inspection=not layout.is_extended))

    assert path.read_bytes() == converted(image)
    assert world.decoded_by.partition(" ")[0] == ("stream" if layout.is_streamable else "qemu-img")
    assert world.litter() == [path.name]


@pytest.mark.parametrize("layout", SOME, ids=str)
def test_entry_is_what_qemu_img_makes_of_it(world, layout):
    check(world, layout)


@pytest.mark.long
@pytest.mark.parametrize("layout", covering(OPTIONS | {"history": tuple(HISTORIES)}, seed=2), ids=str)
def test_entry_is_what_qemu_img_makes_of_it_for_every_two_options(world, layout):
    check(world, layout)


@pytest.mark.parametrize(
    "seeds", [range(2), *(pytest.param(range(at, at + 100), marks=pytest.mark.long) for at in range(100, 1500, 100))]
)
def test_damaged_image_becomes_what_it_becomes_without_streaming_or_is_refused(world, seeds):
    for seed in seeds:
        image = damaged(seed)
        by_stream = fetched(world, image, FetchRules(deep_inspection=False))
        by_qemu = fetched(world, image, FetchRules(deep_inspection=False, decode_while_streaming=False))
        assert by_stream == by_qemu, seed


def damaged(seed: int) -> bytes:
    rng, images = random.Random(seed), small_images()
    changes = [
        Change(rng.randrange(64), rng.getrandbits(rng.choice((5, 14, 24))), rng.getrandbits(rng.choice((5, 14, 40))))
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    return changed(rng.choice(images), changes, images)


def fetched(world, image: bytes, rules: FetchRules) -> bytes | str:
    """Return the entry; the reason if the image is refused, without the place where qemu-img found it."""
    try:
        path = world.fetch(image, "qcow2", rules=rules)
    except PrecacheError as error:
        assert world.litter() == []
        # qemu-img reads several parts at once.
        return re.sub(r"at byte \d+", "at a byte", f"{type(error).__name__}: {error}")
    content = path.read_bytes()
    path.unlink()
    return content

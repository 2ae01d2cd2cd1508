"""A qcow2 that is decoded in several runs: each of them has only what the one before has left on the disk."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from precache.background.task_group import TaskGroup
from precache.fetch.blocks import Block
from precache.fetch.decoding.placements import LEAST_HEAD_BYTES
from precache.fetch.decoding.stream_decoder import StreamDecoder
from precache.fetch.growing_file import Abandoned
from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.qcow2_layouts import Layout, converted, image_of

LAYOUTS = [
    Layout(),
    Layout(compression="zlib", is_odd=True),
    Layout("converted out of order", cluster_bytes=4096, compression="zstd"),
    Layout("snapshot deleted", cluster_bytes=4096, compression="zlib", is_odd=True),
    Layout("reverted and deleted", cluster_bytes=512),
    Layout("grown until L1 moved", cluster_bytes=512, compat="0.10"),
    Layout("zeroed", cluster_bytes=16384, is_extended=True, compression="zstd"),
    Layout("written backwards", refcount_bits=64),
    Layout("stripped", cluster_bytes=2 << 20, preallocation="metadata"),
]


def run(path, data: bytes, fed: int, end: int, *, interrupts: bool) -> int:
    """Decode the image from one byte up to another one, or up to its end; return how far it is decoded then."""
    with (path / "side").open("rb") if fed else open("/dev/null", "rb") as side:
        head = side.read(LEAST_HEAD_BYTES).ljust(LEAST_HEAD_BYTES, b"\0") if fed else data[:LEAST_HEAD_BYTES]
    group, block = TaskGroup("test"), Block()
    with StreamDecoder(
        make_reader=lambda read: Qcow2Reader(head, len(data), read),
        target=path / "raw",
        side=path / "side",
        group=group,
        admit_spilled=lambda _: None,
        fed_bytes=fed,
    ) as decoder:
        try:
            for offset in range(fed, end, 700_000):
                block.offset, block.length = offset, min(700_000, end - offset)
                block.view[: block.length] = data[offset : offset + block.length]
                decoder.append(block)
            if end == len(data):
                if interrupts:
                    decoder.interrupt()
                decoder.finish()
        except Abandoned:
            pass
        if not decoder.is_complete:
            decoder.settle()
        decoder.abandon()
        group.join()
    return decoder.arrived_bytes


@given(st.sampled_from(LAYOUTS), st.lists(st.floats(0, 1), max_size=4), st.booleans())
@settings(max_examples=12)
def test_image_that_is_paused_at_any_byte_becomes_the_disk_that_qemu_img_makes(
    tmp_path_factory, layout, cuts, interrupts
):
    path, content = tmp_path_factory.mktemp("runs"), image_of(layout)
    fed, ends = 0, sorted(max(int(cut * len(content)), min(LEAST_HEAD_BYTES, len(content))) for cut in cuts)
    if interrupts:
        ends.append(len(content))
    for end in ends:
        fed = run(path, content, fed, end, interrupts=interrupts)
        assert fed == end
    run(path, content, fed, len(content), interrupts=False)

    assert (path / "raw").read_bytes() == converted(content)

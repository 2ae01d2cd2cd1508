"""A qcow2 that is decoded in several runs: each of them has only what the one before has left on the disk."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from precache.background.task_group import TaskGroup
from precache.fetch.blocks import Block
from precache.fetch.decoding.stream_decoder import StreamDecoder
from precache.fetch.growing_file import Abandoned
from precache.fetch.qcow2.header import LEAST_HEAD_BYTES
from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.making import put
from tests.unit.fetch.qcow2.images import LAYOUTS, disk_of, image


def with_tables_at_the_end(data: bytes) -> bytes:
    """Return the image with its tables moved behind all data, as after a resize or a snapshot that was removed."""
    cluster = 1 << int.from_bytes(data[20:24])
    l1_at = int.from_bytes(data[40:48])
    data = data.ljust(-(-len(data) // cluster) * cluster, b"\0")
    l1, tables = data[l1_at : l1_at + cluster], b""
    for index in range(0, cluster, 8):
        entry = int.from_bytes(l1[index : index + 8])
        if entry:
            at = entry & 0x00FF_FFFF_FFFF_FE00
            l1 = put(l1, index, ">Q", entry - at + len(data) + len(tables))
            tables += data[at : at + cluster]
    return bytes(put(data, 40, ">Q", len(data) + len(tables))) + tables + bytes(l1)


LATE = "late tables, "
NAMES = [*LAYOUTS, *(LATE + name for name in ("plain", "compressed", "4 KiB zstd"))]


@cache
def image_of(name: str) -> bytes:
    made = image(*LAYOUTS[name.removeprefix(LATE)])
    return with_tables_at_the_end(made) if name.startswith(LATE) else made


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


@given(st.sampled_from(NAMES), st.lists(st.floats(0, 1), max_size=4), st.booleans())
@settings(max_examples=60)
def test_image_that_is_paused_at_any_byte_becomes_the_disk_that_qemu_img_makes(
    tmp_path_factory, name, cuts, interrupts
):
    path, content = tmp_path_factory.mktemp("runs"), image_of(name)
    fed, ends = 0, sorted(max(int(cut * len(content)), min(LEAST_HEAD_BYTES, len(content))) for cut in cuts)
    if interrupts:
        ends.append(len(content))
    for end in ends:
        fed = run(path, content, fed, end, interrupts=interrupts)
        assert fed == end
    run(path, content, fed, len(content), interrupts=False)

    assert (path / "raw").read_bytes() == disk_of(content)

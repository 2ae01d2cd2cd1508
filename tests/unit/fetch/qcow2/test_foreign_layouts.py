"""Files that other programs than qemu may write: any order of tables and clusters, shared sectors, parts of no use."""

from hypothesis import given, settings
from hypothesis import strategies as st

from precache.fetch.qcow2.reader import Qcow2Reader
from tests.disk_images.checked_decoding import CheckedDecoding
from tests.disk_images.qcow2_layouts import converted
from tests.disk_images.qcow2_writer import KINDS, ORDERS, Qcow2Writer, Shape


@st.composite
def shapes(draw, orders=ORDERS):
    is_extended = draw(st.booleans()) and draw(st.booleans())
    cluster_bits = draw(st.sampled_from((14, 16) if is_extended else (9, 9, 10, 12, 16)))
    is_zstd = draw(st.booleans()) and draw(st.booleans())
    return Shape(
        kinds=draw(st.text(KINDS, min_size=1, max_size=30 if cluster_bits > 12 else 200)),
        cluster_bits=cluster_bits,
        version=3 if is_extended or is_zstd else draw(st.sampled_from((2, 3))),
        is_zstd=is_zstd,
        is_extended=is_extended,
        order=draw(st.sampled_from(orders)),
        last_sectors=draw(st.integers(1, 200)),
        seed=draw(st.integers(0, 1 << 30)),
        unused=draw(st.integers(0, 3)),
        ends_early=draw(st.booleans()),
    )


BLOCKS = st.one_of(st.just(1 << 20), st.integers(1, 3000).map(lambda size: size * 7), st.sampled_from((512, 4096)))


@given(shape=shapes(), block_bytes=BLOCKS, replaces=st.booleans())
@settings(max_examples=3 * settings.default.max_examples)
def test_disk_is_the_one_that_was_written(shape, block_bytes, replaces):
    made = Qcow2Writer(shape)
    decoding = CheckedDecoding(Qcow2Reader, made.image)

    while decoding.fed_bytes < len(made.image):
        decoding.feed(block_bytes)
        if replaces and decoding.fed_bytes % 5 == 0:
            decoding.replace_reader()

    assert decoding.finish().disk == made.disk


@given(shape=shapes())
@settings(max_examples=settings.default.max_examples // 2)
def test_writer_of_such_files_agrees_with_qemu_img(shape):
    made = Qcow2Writer(shape)

    assert converted(made.image) == made.disk

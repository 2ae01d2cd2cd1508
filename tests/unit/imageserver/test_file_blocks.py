"""The body of an answer with data."""

import os

import pytest

from precache.imageserver.image_data import BLOCK_BYTES, ByteRange, FileBlocks

CONTENT = bytes(range(256)) * (BLOCK_BYTES // 128)  # two blocks


@pytest.fixture
def image_and_data(images_dir, open_library):
    (images_dir / "debian.raw").write_bytes(CONTENT)
    library = open_library()
    (image,) = library.images()
    with library.open(image) as data:
        yield image, data


def blocks(image_and_data, first, last, on_block=lambda number: None):
    image, data = image_and_data
    return FileBlocks(image=image, data=data, wanted=ByteRange(first, last), on_block=on_block)


@pytest.mark.parametrize(("first", "last"), [(0, len(CONTENT) - 1), (5, 5), (BLOCK_BYTES - 1, BLOCK_BYTES)])
def test_the_blocks_are_the_bytes_of_the_range(image_and_data, first, last):
    counted = []

    body = list(blocks(image_and_data, first, last, counted.append))

    assert b"".join(body) == CONTENT[first : last + 1]
    assert max(counted) <= BLOCK_BYTES
    assert sum(counted) == last - first + 1


@pytest.mark.parametrize("change", [b"other", CONTENT], ids=["shorter", "rewritten"])
def test_a_file_that_changes_meanwhile_breaks_the_transfer_off(image_and_data, change, caplog):
    image, _ = image_and_data
    body = iter(blocks(image_and_data, 0, len(CONTENT) - 1))
    next(body)
    image.path.write_bytes(change)
    os.utime(image.path, (1, 1))  # the clock of a file system may be too coarse to see two writes so close

    with pytest.raises(BrokenPipeError):
        next(body)

    assert "changed while it was sent" in caplog.text


def test_a_file_that_is_renamed_over_is_sent_to_its_end(image_and_data, images_dir):
    image, _ = image_and_data
    body = iter(blocks(image_and_data, 0, len(CONTENT) - 1))
    received = next(body)
    (images_dir / "new").write_bytes(b"other")
    (images_dir / "new").rename(image.path)

    assert received + b"".join(body) == CONTENT

"""A file takes the pieces of an older image that agree, and receives only the others."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.core.images import ImageId
from precache.core.relays import PIECE_BYTES
from precache.imagecache.bases import Base
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import DIGEST_BYTES, PREFIX_BYTES
from tests.swarm_files import RELAY, batch_of, digests_of, image_content, pieces_of, root_text
from tests.swarm_hosts import SwarmHosts

SWARM = SwarmHosts()
SEEDER, HOST = SWARM.host("seeder"), SWARM.host("host")


def receive(
    directory: Path, old: bytes, new: bytes, *, is_clone: bool, damage: int | None = None
) -> tuple[RelayFile, int]:
    """Return the file, as whole as it gets, and how many bytes were sent.

    The parent sends what is not in the have-list with the right prefix. damage: this piece of the base changes after
    it was hashed.
    """
    (directory / "old").write_bytes(old)
    for name in ("new", "other"):
        (directory / name).unlink(missing_ok=True)
    with Base(ImageId("old"), directory / "old") as base:
        base.hash(lambda: None)
        if is_clone:
            (directory / "new").write_bytes(old)
        file = RelayFile(directory / "new", HOST, RELAY)
        file.allow_signers([SEEDER.public_key])
        if is_clone:
            file.add_local(0, digests_of(old))
        else:
            file.use_base(base)
        if damage is not None:
            with (directory / "old").open("r+b") as changed:
                changed.seek(damage * PIECE_BYTES)
                changed.write(b"x" * 9)
        sent = 0
        for _connection in range(2):
            have, digests = file.have_list(), digests_of(new)
            for first in range(0, len(pieces_of(new)), 3):
                file.add_hashes(batch_of(new, first, 3, seeder=SEEDER))
                for index, piece in list(enumerate(pieces_of(new)))[first : first + 3]:
                    prefix = have[index * PREFIX_BYTES : (index + 1) * PREFIX_BYTES]
                    if prefix == digests[index * DIGEST_BYTES :][:PREFIX_BYTES] or piece == bytes(PIECE_BYTES):
                        continue
                    sent += len(piece) if file.add_piece(index, piece) else 0
    return file, sent


LAYOUTS = st.text("abz", max_size=9)


@pytest.mark.parametrize("is_clone", [True, False], ids=["clone", "copy"])
@given(old=LAYOUTS, new=LAYOUTS, old_tail=st.integers(0, 3), new_tail=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_only_pieces_that_differ_are_sent(tmp_path_factory, is_clone, old, new, old_tail, new_tail) -> None:
    before = image_content(old, tail_bytes=old_tail * 10_000)
    after = image_content(new, tail_bytes=new_tail * 10_000)
    if not after:
        return

    file, sent = receive(tmp_path_factory.mktemp("delta"), before, after, is_clone=is_clone)

    file.set_root(root_text(SWARM, after))
    assert file.agrees
    assert file.path.read_bytes() == after
    same = [one == other for one, other in zip(pieces_of(before), pieces_of(after), strict=False)]
    same += [False] * (len(pieces_of(after)) - len(same))
    differ = [piece for piece, is_same in zip(pieces_of(after), same, strict=False) if not is_same]
    assert sent == sum(len(piece) for piece in differ if piece != bytes(PIECE_BYTES))
    file.close()


def test_a_piece_that_has_changed_since_it_was_hashed_is_received(tmp_path: Path) -> None:
    content = image_content("abc")

    file, sent = receive(tmp_path, content, content, is_clone=False, damage=1)

    assert sent == PIECE_BYTES
    assert file.path.read_bytes() == content
    assert file.is_whole
    file.close()


class FullDisk(RelayFile):
    """Is full when the first piece is to be written."""

    def _write(self, index: int, data: bytes | bytearray | memoryview) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_no_fault_of_the_base(tmp_path: Path) -> None:
    content = image_content("abc")
    (tmp_path / "old").write_bytes(content)
    with Base(ImageId("old"), tmp_path / "old") as base:
        base.hash(lambda: None)
        file = FullDisk(tmp_path / "new", HOST, RELAY)
        file.allow_signers([SEEDER.public_key])
        file.use_base(base)

        with pytest.raises(OSError, match="No space"):
            file.add_hashes(batch_of(content, seeder=SEEDER))

    file.close()


def test_space_is_promised_before_a_piece_is_copied(tmp_path: Path) -> None:
    content, asked = image_content("abc"), []
    (tmp_path / "old").write_bytes(content)
    with Base(ImageId("old"), tmp_path / "old") as base:
        base.hash(lambda: None)
        file = RelayFile(tmp_path / "new", HOST, RELAY)
        file.allow_signers([SEEDER.public_key])
        file.use_base(base, lambda: asked.append(file.have_bytes))

        file.add_hashes(batch_of(content, seeder=SEEDER))

    assert asked == [0]
    assert file.have_bytes == len(content)
    file.close()


def test_nothing_is_written_to_a_file_that_is_closed(tmp_path: Path) -> None:
    content = image_content("ab")
    file = RelayFile(tmp_path / "new", HOST, RELAY)
    file.allow_signers([SEEDER.public_key])
    file.add_hashes(batch_of(content, seeder=SEEDER))
    file.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)  # gets the number of the descriptor that was closed

    with pytest.raises(OSError, match="closed"):
        file.add_piece(0, pieces_of(content)[0])

    assert os.fstat(other).st_size == 0
    os.close(other)


@pytest.mark.parametrize("scattered", [True, False])
def test_of_a_disk_with_5_percent_changed_5_percent_are_sent(tmp_path: Path, scattered: bool) -> None:
    old = random.Random(1).randbytes(4 << 20)
    pieces = pieces_of(old)
    changed = random.Random(2).sample(range(len(pieces)), 3) if scattered else range(50, 53)
    for index in changed:
        pieces[index] = random.Random(index).randbytes(PIECE_BYTES)

    file, sent = receive(tmp_path, old, b"".join(pieces), is_clone=False)

    assert sent == 3 * PIECE_BYTES
    assert file.path.read_bytes() == b"".join(pieces)
    file.close()

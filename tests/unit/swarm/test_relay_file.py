"""Which pieces and hashes a file accepts, and what those that read it get."""

from __future__ import annotations

import errno
import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.errors import PieceRefused
from precache.core.relays import PIECE_BYTES
from precache.ports.swarm_trust import RootStatement
from precache.swarm.news import Cursor, News
from precache.swarm.relay_file import RelayFile
from precache.swarm.shared_file import SharedFile
from precache.swarm.wire import DIGEST_BYTES, HashBatch
from tests.swarm_files import RELAY, batch_of, digests_of, image_content, pieces_of, root_of, root_text, seeded_file
from tests.swarm_hosts import SwarmHosts

SWARM = SwarmHosts()
SEEDER, HOST, OTHER = SWARM.host("seeder"), SWARM.host("host"), SWARM.host("other")
CONTENT = image_content("abzcz", tail_bytes=1000)
DATA = (0, 1, 3, 5)
"""The pieces of CONTENT that are not zeros."""


@pytest.fixture
def file(tmp_path: Path):
    file = RelayFile(tmp_path / "file", HOST, RELAY)
    file.allow_signers([SEEDER.public_key])
    yield file
    file.close()


def add_all(file: RelayFile, content: bytes = CONTENT) -> None:
    for index, piece in enumerate(pieces_of(content)):
        file.add_piece(index, piece)


def prefixes(content: bytes, *indexes: int) -> bytes:
    """Return a have-list of these pieces of the content."""
    digests = digests_of(content)
    return b"".join(
        digests[index * DIGEST_BYTES :][:8] if index in indexes else bytes(8) for index in range(max(indexes) + 1)
    )


def all_news(file: RelayFile) -> News:
    cursor, entries = Cursor(), ()
    while (news := file.wait_for_news(cursor, 0)).entries:
        cursor, entries = news.cursor, entries + news.entries
    return News(entries, news.cursor, news.root, news.have_bytes, news.is_over, news.is_closed)


class WrittenTwice(RelayFile):
    """A second stream receives the piece while the first one still writes it, as on a slow disk."""

    is_second = False

    def _write(self, index, data):
        if not self.is_second:
            self.is_second = True
            self.add_piece(index, data)
        super()._write(index, data)


class TestHashes:
    def test_a_whole_file_agrees_only_with_the_root_that_a_conductor_has_signed(self, file: RelayFile) -> None:
        file.add_hashes(batch_of(CONTENT, seeder=SEEDER))
        add_all(file)

        assert file.is_whole
        assert not file.agrees
        file.set_root(root_text(SWARM, CONTENT))
        assert file.agrees
        assert file.root() == root_of(CONTENT)
        assert file.path.read_bytes() == CONTENT

    def test_a_file_that_does_not_agree_with_the_root_is_not_to_be_published(self, file: RelayFile) -> None:
        file.set_root(root_text(SWARM, image_content("abzcd", tail_bytes=1000)))
        file.add_hashes(batch_of(CONTENT, seeder=SEEDER))
        add_all(file)

        assert file.is_whole
        assert not file.agrees

    @pytest.mark.parametrize(
        "batch",
        [
            pytest.param(batch_of(CONTENT, seeder=OTHER), id="of one that is no seeder"),
            pytest.param(batch_of(CONTENT, seeder=SEEDER, relay="relay-2"), id="of another image"),
            pytest.param(batch_of(CONTENT), id="unsigned while the root is unknown"),
            pytest.param(
                HashBatch(len(CONTENT), 0, digests_of(CONTENT), SEEDER.public_key, bytes(64)), id="signed wrongly"
            ),
            pytest.param(HashBatch(PIECE_BYTES, 1, bytes(32), SEEDER.public_key, bytes(64)), id="beyond the end"),
            pytest.param(HashBatch(PIECE_BYTES, 0, b"", SEEDER.public_key, bytes(64)), id="empty"),
        ],
    )
    def test_hashes_are_refused(self, file: RelayFile, batch: HashBatch) -> None:
        with pytest.raises(PieceRefused):
            file.add_hashes(batch)

        assert file.size_bytes is None
        assert file.path.stat().st_size == 0

    def test_hashes_that_contradict_earlier_ones_are_refused(self, file: RelayFile) -> None:
        file.add_hashes(batch_of(CONTENT, 0, 3, seeder=SEEDER))

        for other in (image_content("axzcz", tail_bytes=1000), CONTENT + b"x"):
            with pytest.raises(PieceRefused):
                file.add_hashes(batch_of(other, seeder=SEEDER))

        assert not file.add_local(5, digests_of(CONTENT)[-DIGEST_BYTES:])
        assert file.have_list() == prefixes(CONTENT, 5)

    def test_hashes_of_two_seeders_complete_each_other(self, file: RelayFile) -> None:
        file.allow_signers([OTHER.public_key])

        file.add_hashes(batch_of(CONTENT, 0, 3, seeder=SEEDER))
        file.add_hashes(batch_of(CONTENT, 1, seeder=OTHER))
        file.add_hashes(batch_of(CONTENT, 2, seeder=OTHER))

        assert file.root() == root_of(CONTENT)
        assert all_news(file).entries == (
            batch_of(CONTENT, 0, 3, seeder=SEEDER),
            batch_of(CONTENT, 1, seeder=OTHER),
        )

    def test_unsigned_hashes_count_when_all_of_them_agree_with_the_root(self, file: RelayFile) -> None:
        file.set_root(root_text(SWARM, CONTENT))
        file.add_hashes(batch_of(CONTENT, 1, 1, seeder=SEEDER))
        file.add_hashes(batch_of(CONTENT, 2))
        with pytest.raises(PieceRefused, match="before its hash"):
            file.add_piece(3, pieces_of(CONTENT)[3])

        file.add_hashes(batch_of(CONTENT, 0, 1))

        add_all(file)
        assert file.agrees
        assert [batch for batch in all_news(file).entries if isinstance(batch, HashBatch)] == [
            batch_of(CONTENT, 1, 1, seeder=SEEDER),
            batch_of(CONTENT, 0, 1),
            batch_of(CONTENT, 2),
        ]

    def test_a_signed_hash_may_be_the_last_that_is_missing(self, file: RelayFile) -> None:
        file.set_root(root_text(SWARM, CONTENT))
        file.add_hashes(batch_of(CONTENT, 1))

        file.add_hashes(batch_of(CONTENT, 0, 1, seeder=SEEDER))

        assert file.root() == root_of(CONTENT)

    def test_unsigned_hashes_that_do_not_agree_with_the_root_are_forgotten(self, file: RelayFile) -> None:
        file.set_root(root_text(SWARM, CONTENT))
        with pytest.raises(PieceRefused, match="do not agree with the root"):
            file.add_hashes(batch_of(image_content("abzcq", tail_bytes=1000)))

        file.add_hashes(batch_of(CONTENT))
        add_all(file)

        assert file.agrees

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(root_text(SwarmHosts(), CONTENT), id="of another authority"),
            pytest.param(root_text(SWARM, CONTENT, relay="relay-2"), id="of another image"),
            pytest.param("{}", id="that is none"),
        ],
    )
    def test_a_root_is_refused(self, file: RelayFile, text: str) -> None:
        with pytest.raises(PieceRefused):
            file.set_root(text)

        assert file.root_text == ""

    def test_a_second_root_is_refused(self, file: RelayFile) -> None:
        file.set_root(root_text(SWARM, CONTENT))

        with pytest.raises(PieceRefused):
            file.set_root(root_text(SWARM, image_content("abzcq", tail_bytes=1000)))

    def test_a_file_of_more_than_16_tib_is_refused(self, file: RelayFile) -> None:
        with pytest.raises(PieceRefused, match="more than"):
            file.set_root(SWARM.authority.root(RootStatement(RELAY, root_of(b""), (16 << 40) + 1)))


class TestPieces:
    @pytest.mark.parametrize(
        ("index", "data"),
        [
            (0, pieces_of(CONTENT)[1]),
            (0, pieces_of(CONTENT)[0][:-1]),
            (0, b""),
            (5, pieces_of(CONTENT)[5] + b"\0"),
            (-1, pieces_of(CONTENT)[5]),
            (6, b"x"),
            (1 << 31, b"x"),
        ],
    )
    def test_a_piece_that_does_not_agree_with_its_hash_is_not_written(
        self, file: RelayFile, index: int, data: bytes
    ) -> None:
        file.add_hashes(batch_of(CONTENT, seeder=SEEDER))

        with pytest.raises(PieceRefused):
            file.add_piece(index, data)

        assert file.path.read_bytes() == bytes(len(CONTENT))
        assert not file.has(index)

    def test_a_piece_before_its_hash_is_refused(self, file: RelayFile) -> None:
        file.add_hashes(batch_of(CONTENT, 0, 1, seeder=SEEDER))

        with pytest.raises(PieceRefused, match="before its hash"):
            file.add_piece(1, pieces_of(CONTENT)[1])

    def test_a_repeated_piece_counts_once(self, file: RelayFile) -> None:
        file.add_hashes(batch_of(CONTENT, seeder=SEEDER))

        assert file.add_piece(0, pieces_of(CONTENT)[0])
        assert not file.add_piece(0, b"anything")

        assert file.have_bytes == 3 * PIECE_BYTES  # two are zeros
        assert [entry for entry in all_news(file).entries if entry == 0] == [0]

    def test_a_piece_that_two_streams_write_at_once_counts_once(self, tmp_path: Path) -> None:
        file = WrittenTwice(tmp_path / "file", SEEDER, RELAY)
        file.add_hashes(batch_of(CONTENT, seeder=SEEDER))

        file.add_piece(0, pieces_of(CONTENT)[0])

        assert file.have_bytes == 3 * PIECE_BYTES  # two are zeros
        assert [entry for entry in all_news(file).entries if entry == 0] == [0]
        file.close()

    def test_zeros_are_holes(self, file: RelayFile) -> None:
        content = image_content("az") + bytes(32 << 10) + image_content("b")[: 32 << 10]
        file.add_hashes(batch_of(content, seeder=SEEDER))
        add_all(file, content)

        assert file.path.read_bytes() == content
        assert file.path.stat().st_blocks * 512 <= 104 << 10

    def test_an_empty_file_is_whole_when_its_root_is_known(self, file: RelayFile) -> None:
        file.set_root(root_text(SWARM, b""))

        assert file.agrees
        assert all_news(file).is_over

    @given(st.permutations(DATA), st.integers(1, 6))
    def test_pieces_may_come_in_any_order(self, tmp_path_factory, order: list[int], batch_pieces: int) -> None:
        file = RelayFile(tmp_path_factory.mktemp("any") / "file", SEEDER, RELAY)
        for first in range(0, 6, batch_pieces):
            file.add_hashes(batch_of(CONTENT, first, batch_pieces, seeder=SEEDER))
        for index in order:
            assert file.add_piece(index, pieces_of(CONTENT)[index])

        assert file.path.read_bytes() == CONTENT
        assert [entry for entry in all_news(file).entries if isinstance(entry, int)] == order
        assert file.is_whole
        file.close()


class TestWhatIsThereAlready:
    def test_pieces_of_a_clone_count_when_their_hashes_come(self, tmp_path: Path) -> None:
        """The clone has other data where the file has zeros, and it is longer."""
        older = image_content("axycbabc")
        (tmp_path / "file").write_bytes(older)
        file = RelayFile(tmp_path / "file", HOST, RELAY)
        file.allow_signers([SEEDER.public_key])

        assert file.add_local(0, digests_of(older)) == 0
        assert file.have_list() == prefixes(older, *range(8))
        file.add_hashes(batch_of(CONTENT, seeder=SEEDER))

        assert [file.has(index) for index in range(6)] == [True, False, True, True, True, False]
        assert file.have_list() == prefixes(CONTENT, 0, 3)
        for index in (1, 5):
            file.add_piece(index, pieces_of(CONTENT)[index])
        assert file.path.read_bytes() == CONTENT
        file.close()

    def test_what_is_overwritten_is_not_there_any_more(self, tmp_path: Path, monkeypatch) -> None:
        """Also if the write has failed, or still lasts: then it is unknown what is there."""
        (tmp_path / "file").write_bytes(image_content("axy"))
        file = RelayFile(tmp_path / "file", SEEDER, RELAY)
        file.add_local(0, digests_of(image_content("axy")))

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "broken disk")

        monkeypatch.setattr(SharedFile, "write", fail)
        monkeypatch.setattr(SharedFile, "clear", fail)
        with pytest.raises(OSError, match="broken disk"):
            file.add_hashes(batch_of(image_content("abz"), seeder=SEEDER))
        with pytest.raises(OSError, match="broken disk"):
            file.add_piece(1, pieces_of(CONTENT)[1])

        assert [bool(file.local_digest(index)) for index in range(3)] == [True, False, False]
        file.close()

    def test_a_seeder_adds_what_is_final(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(CONTENT)
        file = RelayFile(tmp_path / "file", SEEDER, RELAY, writable=False)
        file.set_size(len(CONTENT))

        file.add_hashes(batch_of(CONTENT, 0, 2, seeder=SEEDER))
        assert file.add_local(0, digests_of(CONTENT)[: 2 * DIGEST_BYTES]) == 2

        assert all_news(file).entries == (batch_of(CONTENT, 0, 2, seeder=SEEDER), 0, 1)
        assert not file.is_whole
        file.close()


class TestReaders:
    def test_a_reader_gets_each_piece_when_it_comes(self, file: RelayFile) -> None:
        read: list[bytes] = []

        def read_all() -> None:
            buffer, cursor = memoryview(bytearray(PIECE_BYTES)), Cursor()
            while not (news := file.wait_for_news(cursor, 20)).is_over:
                cursor = news.cursor
                read.extend(bytes(buffer[: file.read_into(e, buffer)]) for e in news.entries if isinstance(e, int))
            read.extend(bytes(buffer[: file.read_into(e, buffer)]) for e in news.entries if isinstance(e, int))

        readers = [threading.Thread(target=read_all) for _ in range(3)]
        for reader in readers:
            reader.start()
        file.add_hashes(batch_of(CONTENT, seeder=SEEDER))
        add_all(file)
        file.set_root(root_text(SWARM, CONTENT))
        for reader in readers:
            reader.join(20)

        expected = sorted(pieces_of(CONTENT)[index] for index in DATA)
        assert sorted(read) == sorted(expected * 3)

    def test_the_root_is_news(self, file: RelayFile) -> None:
        cursor = file.wait_for_news(Cursor(), 0).cursor
        text = root_text(SWARM, CONTENT)

        file.set_root(text)

        news = file.wait_for_news(cursor, 20)
        assert news.root == text
        assert not news.is_over
        assert file.wait_for_news(news.cursor, 0).cursor == news.cursor

    def test_a_file_that_is_closed_wakes_its_readers(self, file: RelayFile) -> None:
        closing = threading.Timer(0.05, file.close)
        closing.start()

        assert file.wait_for_news(Cursor(), 20).is_closed
        closing.join()
        assert file.read_into(0, memoryview(bytearray(PIECE_BYTES))) == 0
        file.close()

    def test_a_file_that_is_closed_is_not_written(self, file: RelayFile) -> None:
        """Its descriptor may mean another file by then."""
        file.add_hashes(batch_of(CONTENT, seeder=SEEDER))

        file.close()

        with pytest.raises(OSError, match="closed"):
            file.add_piece(0, pieces_of(CONTENT)[0])

    def test_a_file_that_is_shorter_than_it_should_be_is_not_read(self, tmp_path: Path) -> None:
        file = seeded_file(tmp_path / "file", CONTENT, SEEDER)
        with file.path.open("r+b") as other:
            other.truncate(PIECE_BYTES + 10)
        buffer = memoryview(bytearray(PIECE_BYTES))

        assert file.read_into(0, buffer) == PIECE_BYTES
        assert hashlib.sha256(buffer).digest() == digests_of(CONTENT)[:DIGEST_BYTES]
        assert file.read_into(1, buffer) == 0
        file.close()

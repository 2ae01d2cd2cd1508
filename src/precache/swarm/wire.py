"""The records in which a host sends the pieces of a file to another host, as bytes; `docs/protocol.md` describes them.

Here are only values and their encoding: no socket, no file, and no check of hashes or signatures. What is decoded comes
from another host, and each number of it is checked against its limit before it is used.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

from precache.core.relays import PIECE_BYTES

DIGEST_BYTES = 32
ZERO_DIGEST = hashlib.sha256(bytes(PIECE_BYTES)).digest()
"""The digest of a whole piece of zeros: such a piece is never sent."""

MOST_PIECES = 1 << 28
"""Of one file: 16 TiB, more than any image."""

MOST_HASHES = 4096
"""In one batch: those of 256 MiB, in at most 129 KiB."""

PREFIX_BYTES = 8
"""Of a digest in a have-list."""

MOST_HAVE_BYTES = 16 << 20
"""Of a have-list: it can name the first 128 GiB of a file."""

PIECES_TYPE = "application/vnd.precache.pieces"
TICKET_HEADER = "Precache-Ticket"
MOST_ROOT_BYTES = 4096
RECORD_HEAD = struct.Struct(">BI")
"""The kind of a record, and the length of what follows in bytes."""

PIECE_HEAD = struct.Struct(">I")
"""The index of the piece, before its bytes."""

_OFFER = struct.Struct(">Q")
_HASHES = struct.Struct(">QII32s64s")
_SIGNED = struct.Struct(">QI")
_NO_KEY, _NO_SIGNATURE = bytes(32), bytes(64)


class RecordKind(IntEnum):
    HASHES = 1
    PIECE = 2
    OFFER = 3
    ROOT = 4


MOST_BYTES = {
    RecordKind.HASHES: _HASHES.size + MOST_HASHES // 8 + MOST_HASHES * DIGEST_BYTES,
    RecordKind.PIECE: PIECE_HEAD.size + PIECE_BYTES,
    RecordKind.OFFER: _OFFER.size,
    RecordKind.ROOT: MOST_ROOT_BYTES,
}
"""The longest content of a record of each kind."""


@dataclass(frozen=True, slots=True)
class HashBatch:
    """The digests of consecutive pieces of a file, signed by a seeder, or unsigned.

    size_bytes: of the file. first: the index of the first piece. digests: of 32 bytes each, 1 to MOST_HASHES.
    signer: the seeder's public key in hexadecimal; empty if unsigned. Unsigned digests count only if all digests of the
    file agree with the root that a conductor has signed.
    """

    size_bytes: int
    first: int
    digests: bytes
    signer: str = ""
    signature: bytes = b""

    @property
    def count(self) -> int:
        return len(self.digests) // DIGEST_BYTES

    @property
    def end(self) -> int:
        """Return the index after the last piece."""
        return self.first + self.count

    def signed_content(self, relay: str) -> bytes:
        """Return the bytes that the seeder signs, if the file belongs to this relay."""
        head = b"precache hashes 1\0" + relay.encode() + b"\0" + _SIGNED.pack(self.size_bytes, self.first)
        return head + self.digests


class MalformedRecord(ValueError):
    """A record of another host that cannot be one, with the reason."""


def piece_count(size_bytes: int) -> int:
    """Return the number of pieces of a file."""
    return -(-size_bytes // PIECE_BYTES)


def piece_length(index: int, size_bytes: int) -> int:
    """Return the bytes of one piece of a file."""
    return min(PIECE_BYTES, size_bytes - index * PIECE_BYTES)


def record(kind: RecordKind, content: bytes) -> bytes:
    """Return a whole record."""
    return RECORD_HEAD.pack(kind, len(content)) + content


def read_head(head: bytes | memoryview) -> tuple[RecordKind, int]:
    """Return the kind of a record and the length of its content. Raises MalformedRecord, also if it is too long."""
    number, length = RECORD_HEAD.unpack(head)
    try:
        kind = RecordKind(number)
    except ValueError:
        raise MalformedRecord(f"a record of the unknown kind {number}") from None
    if length > MOST_BYTES[kind]:
        raise MalformedRecord(f"a record {kind.name} of {length} bytes, more than {MOST_BYTES[kind]}")
    return kind, length


def hashes_content(batch: HashBatch) -> bytes:
    """Return the content of a record HASHES. The digest of a piece of zeros is one bit."""
    zeros, others = bytearray(-(-batch.count // 8)), []
    for place in range(batch.count):
        digest = batch.digests[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]
        if digest == ZERO_DIGEST:
            zeros[place // 8] |= 0x80 >> place % 8
        else:
            others.append(digest)
    key = bytes.fromhex(batch.signer) if batch.signer else _NO_KEY
    head = _HASHES.pack(batch.size_bytes, batch.first, batch.count, key, batch.signature or _NO_SIGNATURE)
    return b"".join((head, bytes(zeros), *others))


def read_hashes(content: bytes | memoryview) -> HashBatch:
    """Return the batch of a record HASHES. Raises MalformedRecord."""
    if len(content) < _HASHES.size:
        raise MalformedRecord("a record HASHES that is too short")
    size_bytes, first, count, key, signature = _HASHES.unpack(content[: _HASHES.size])
    if not 0 < count <= MOST_HASHES or first + count > min(piece_count(size_bytes), MOST_PIECES):
        raise MalformedRecord(f"hashes of {count} pieces from {first}, in a file of {size_bytes} bytes")
    rest = bytes(content[_HASHES.size :])
    zeros, others = rest[: -(-count // 8)], rest[-(-count // 8) :]
    is_zero = [bool(zeros[place // 8] & 0x80 >> place % 8) for place in range(count)] if len(zeros) * 8 >= count else []
    if len(others) != (count - sum(is_zero)) * DIGEST_BYTES:
        raise MalformedRecord("a record HASHES of a wrong length")
    digests, at = [], 0
    for zero in is_zero:
        digests.append(ZERO_DIGEST if zero else others[at : at + DIGEST_BYTES])
        at += 0 if zero else DIGEST_BYTES
    if key == _NO_KEY:
        return HashBatch(size_bytes, first, b"".join(digests))
    return HashBatch(size_bytes, first, b"".join(digests), key.hex(), signature)


def read_piece(content: memoryview) -> tuple[int, memoryview]:
    """Return the index and the bytes of a record PIECE. Raises MalformedRecord."""
    if len(content) <= PIECE_HEAD.size:
        raise MalformedRecord("a record PIECE without bytes")
    (index,) = PIECE_HEAD.unpack(content[: PIECE_HEAD.size])
    return index, content[PIECE_HEAD.size :]


def offer_content(have_bytes: int) -> bytes:
    """Return the content of a record OFFER."""
    return _OFFER.pack(have_bytes)


def read_offer(content: bytes | memoryview) -> int:
    """Return how many bytes of the file the sender has. Raises MalformedRecord."""
    if len(content) != _OFFER.size:
        raise MalformedRecord("a record OFFER of a wrong length")
    (have_bytes,) = _OFFER.unpack(content)
    return int(have_bytes)


def read_root(content: bytes | memoryview) -> str:
    """Return the text of a record ROOT. Raises MalformedRecord."""
    try:
        return bytes(content).decode("ascii")
    except UnicodeDecodeError:
        raise MalformedRecord("a record ROOT that is no text") from None

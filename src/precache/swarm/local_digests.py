"""The digests of pieces that are in a file while their hashes are unknown, such as those of an earlier attempt."""

from __future__ import annotations

from precache.swarm.wire import DIGEST_BYTES

_NONE = bytes(DIGEST_BYTES)


class LocalDigests:
    """What is in the file, by the index of the piece. Not thread-safe."""

    def __init__(self) -> None:
        self._digests = bytearray()  # zeros for none

    def __len__(self) -> int:
        """Return the index after the last piece that was noted."""
        return len(self._digests) // DIGEST_BYTES

    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of the piece; empty if it is not known."""
        digest = bytes(self._digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])
        return digest if digest != _NONE else b""

    def note(self, index: int, digest: bytes) -> None:
        """Note that the piece with this SHA-256 is in the file."""
        end = (index + 1) * DIGEST_BYTES
        self._digests.extend(bytes(max(end - len(self._digests), 0)))
        self._digests[end - DIGEST_BYTES : end] = digest

    def forget(self, index: int) -> None:
        """Note that this piece is about to be overwritten. What is there is unknown until that was done."""
        if index < len(self):
            self._digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES] = _NONE

    def cut(self, pieces: int) -> None:
        """Forget what lies behind so many pieces: the file ends there."""
        del self._digests[pieces * DIGEST_BYTES :]

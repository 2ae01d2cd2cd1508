"""Fuzzes the reader of qcow2: `python -m tests.fuzzing.qcow2_fuzzer CORPUS [options of libFuzzer]`.

An input is an image behind two bytes that say how it arrives. An image must be decoded to what the reference makes of
it, or be left to qemu-img; every other exception and every action that is not allowed is a finding.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["precache.fetch.qcow2"], enable_loader_override=False):
    from precache.fetch.qcow2.reader import Qcow2Reader

from precache.fetch.decoding.placements import NotStreamable, Truncated
from tests.disk_images.checked_decoding import CheckedDecoding, Decoded
from tests.disk_images.qcow2_mutants import Change, changed
from tests.disk_images.qcow2_reference import disk_of

_BLOCK_BYTES = (1 << 20, 512, 777, 4096, 20_000)


class Fuzzer:
    def __init__(self, corpus: list[bytes]) -> None:
        self._corpus = [image[2:] for image in corpus]

    def check(self, data: bytes) -> None:
        """Raise AssertionError if the image becomes another disk than the reference says."""
        if len(data) < 3:
            return
        image = data[2:]
        decoded = _decoded(image, _BLOCK_BYTES[data[0] % len(_BLOCK_BYTES)], replaces=data[1] % 4 == 0)
        if decoded and decoded.disk is not None:
            assert decoded.disk == disk_of(image), "another disk than that of the reference"

    def mutate(self, data: bytes, most_bytes: int, seed: int) -> bytes:
        """Return a changed input: mostly changed where readers decide, else as libFuzzer changes any bytes."""
        rng = random.Random(seed)
        if len(data) < 3 or rng.random() < 0.2:
            return bytes(atheris.Mutate(data, most_bytes))
        changes = [
            Change(
                rng.randrange(64), rng.getrandbits(rng.choice((5, 14, 24))), rng.getrandbits(rng.choice((5, 14, 40)))
            )
            for _ in range(rng.choice((1, 1, 1, 2, 3)))
        ]
        how = rng.randbytes(2) if rng.random() < 0.2 else data[:2]
        return (how + changed(data[2:], changes, self._corpus))[:most_bytes]


def _decoded(image: bytes, block_bytes: int, *, replaces: bool) -> Decoded | None:
    try:
        decoding = CheckedDecoding(Qcow2Reader, image)
        while decoding.fed_bytes < len(image):
            decoding.feed(block_bytes)
            if replaces:
                decoding.replace_reader()
                replaces = False
        return decoding.finish()
    except (NotStreamable, Truncated):
        return None


def main() -> None:
    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    corpus = [file.read_bytes() for folder in folders for file in sorted(folder.iterdir())]
    fuzzer = Fuzzer(corpus)
    atheris.Setup(sys.argv, fuzzer.check, custom_mutator=fuzzer.mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

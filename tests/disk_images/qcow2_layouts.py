"""qcow2 files as qemu's tools leave them on disk: every option of the format, and everything that is done to images.

Each is made once in a session for the same arguments. `covering` chooses few of all combinations.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from tests.disk_images.making import MIB, put

KIB = 1 << 10

OPTIONS: Mapping[str, Sequence[object]] = {
    "cluster_bytes": tuple(1 << bits for bits in (9, 10, 12, 14, 16, 18, 21)),
    "compat": ("0.10", "1.1"),
    "compression": ("none", "zlib", "zstd"),
    "refcount_bits": (1, 2, 4, 8, 16, 32, 64),
    "preallocation": ("off", "metadata", "falloc", "full"),
    "is_extended": (False, True),
    "is_odd": (False, True),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How an image is made. history: what is done with it; a name in HISTORIES.

    is_odd: whether the disk ends within a cluster. is_extended: with subclusters.
    size_bytes: of the disk; 0 for some MiB.
    """

    history: str = "converted"
    cluster_bytes: int = 64 * KIB
    compat: str = "1.1"
    compression: str = "none"
    refcount_bits: int = 16
    preallocation: str = "off"
    is_extended: bool = False
    is_odd: bool = False
    size_bytes: int = 0

    @property
    def exists(self) -> bool:
        """Return whether qemu can make it."""
        new_only = self.refcount_bits != 16 or self.compression == "zstd" or self.is_extended
        return (
            not (self.compat == "0.10" and (new_only or self.history in _NEW_ONLY))
            and not (self.is_extended and self.cluster_bytes < 16 * KIB)
            and not (self.preallocation != "off" and (self.compression != "none" or self.history in _WITHOUT_SPACE))
            # A snapshot refers to each cluster once more, and compressed ones share clusters.
            and not (self.refcount_bits < (2 if self.compression == "none" else 8) and self.history in _WITH_SNAPSHOTS)
            and not (self.history == "grown until L1 moved" and self.cluster_bytes > KIB)
            and not (self.history == "upgraded" and (new_only or self.compat == "1.1"))
            and not (self.history == "upgraded" and self.cluster_bytes > 256 * KIB)  # takes qemu-img minutes
        )

    @property
    def is_streamable(self) -> bool:
        return self.history not in HANDED_OVER

    @property
    def disk_bytes(self) -> int:
        """Return the size of the disk before its history."""
        size = self.size_bytes or (2 * MIB if self.cluster_bytes < 4 * KIB else 4 * MIB)
        return size - 1536 if self.is_odd else size

    @property
    def creation(self) -> tuple[str, ...]:
        """Return the options with which qemu-img creates it."""
        options = [f"cluster_size={self.cluster_bytes}", f"compat={self.compat}"]
        if self.compat != "0.10":
            options += [f"refcount_bits={self.refcount_bits}"]
            options += ["compression_type=zstd"] * (self.compression == "zstd")
            options += ["extended_l2=on"] * self.is_extended
            options += ["lazy_refcounts=on"] * (self.history in ("lazy", "not closed"))
        if self.preallocation != "off":
            options.append(f"preallocation={self.preallocation}")
        return ("-o", ",".join(options))

    def __str__(self) -> str:
        words = [self.history, f"{self.cluster_bytes} bytes", f"v{2 if self.compat == '0.10' else 3}"]
        words += [self.compression] * (self.compression != "none")
        words += [f"refcounts of {self.refcount_bits}"] * (self.refcount_bits != 16)
        words += [self.preallocation] * (self.preallocation != "off")
        words += ["extended"] * self.is_extended + ["odd"] * self.is_odd
        return ", ".join(words)


class Workbench:
    """The files of one image that is being made."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder, self.layout = folder, layout
        self.image, self.raw = folder / "image.qcow2", folder / "disk.raw"
        self.random = random.Random(str(layout))
        self.raw.write_bytes(mixed_disk(layout.disk_bytes))

    def qemu_img(self, *arguments: object) -> None:
        _run("qemu-img", *arguments, folder=self.folder)

    def qemu_io(self, *commands: str, image: str = "image.qcow2", discard: str = "unmap") -> None:
        """Run the commands of qemu-io on the image, in one process."""
        given = itertools.chain.from_iterable(("-c", command) for command in commands)
        _run("qemu-io", "-t", "unsafe", "-d", discard, "-f", "qcow2", *given, image, folder=self.folder)

    def convert(self, *options: str, source: tuple[str, str] = ("raw", "disk.raw")) -> None:
        packed = ["-c"] * (self.layout.compression != "none")
        creation = self.layout.creation
        kind, name = source
        self.qemu_img(
            "convert", "-t", "unsafe", *packed, *options, "-f", kind, "-O", "qcow2", *creation, name, self.image
        )

    def create(self) -> None:
        self.qemu_img("create", "-f", "qcow2", *self.layout.creation, self.image, self.layout.disk_bytes)

    def spots(self, count: int, most: int = 90_000) -> Iterator[tuple[int, int]]:
        """Return ranges of the disk: offset and length, in sectors' worth of bytes, often of whole clusters."""
        size, unit = self.layout.disk_bytes // 512 * 512, self.layout.cluster_bytes
        for _ in range(count):
            length = self.random.randrange(512, most, 512)
            start = self.random.randrange(0, size, 512)
            if self.random.random() < 0.4:
                start, length = start // unit * unit, max(length // unit, 1) * unit
            yield start, min(length, size - start)

    def writes(self, count: int, kind: str = "write -P") -> list[str]:
        return [f"{kind} {self.random.randint(1, 255)} {start} {length}" for start, length in self.spots(count)]

    def zeros(self, count: int) -> list[str]:
        kinds = ("write -z", "write -z -u", "discard")
        return [f"{kinds[at % 3]} {start} {length}" for at, (start, length) in enumerate(self.spots(count))]


def _run(*command: object, folder: Path) -> None:
    result = subprocess.run([str(word) for word in command], capture_output=True, cwd=folder, text=True, timeout=60)
    assert not result.returncode, (command, result.stdout, result.stderr)


@lru_cache(maxsize=4)
def mixed_disk(size: int) -> bytes:
    """Return a disk of noise, text and holes, in ranges of different lengths; to its last byte."""
    rng, disk = random.Random(size), bytearray()
    while len(disk) < size:
        length = rng.choice((512, 4096, 5000, 40_000, 150_000, 300_000))
        kind = rng.randrange(4)
        word = b"\0" if kind < 2 else rng.randbytes(9)
        disk += rng.randbytes(length) if kind == 3 else (word * length)[:length]
    return bytes(disk[: size - 600] + rng.randbytes(600))[:size]


def _overwritten(bench: Workbench) -> None:
    bench.convert()
    bench.qemu_io(*bench.writes(12))


def _written_backwards(bench: Workbench) -> None:
    bench.create()
    size, step = bench.layout.disk_bytes, 150_016
    places = range((size - 1) // step * step, -1, -step)
    bench.qemu_io(*(f"write -P {1 + at % 255} {at} {min(70_144, size - at) // 512 * 512}" for at in places))


def _written_compressed(bench: Workbench) -> None:
    bench.create()
    unit = bench.layout.cluster_bytes
    whole = bench.layout.disk_bytes // unit
    places = bench.random.sample(range(whole), min(whole, 12))
    bench.qemu_io(*(f"write -c -P {1 + at % 255} {at * unit} {unit}" for at in places), *bench.writes(4))


def _discarded(bench: Workbench) -> None:
    bench.convert()
    bench.qemu_io(*(f"discard {start} {length}" for start, length in bench.spots(9)), *bench.writes(3))


def _zeroed(bench: Workbench) -> None:
    bench.convert()
    bench.qemu_io(*bench.zeros(12), *bench.writes(3), *bench.zeros(4))


def _with_bitmap(bench: Workbench) -> None:
    bench.convert()
    bench.qemu_img(
        "bitmap", "--add", "-g", "4096" if bench.layout.cluster_bytes < 64 * KIB else "65536", bench.image, "b0"
    )
    bench.qemu_io(*bench.writes(5))
    bench.qemu_img("bitmap", "--add", "--disable", bench.image, "b1")
    bench.qemu_io(*bench.writes(2))


def _with_snapshot(bench: Workbench) -> None:
    bench.convert()
    bench.qemu_img("snapshot", "-c", "before", bench.image)
    bench.qemu_io(*bench.writes(6))


def _reverted(bench: Workbench) -> None:
    _with_snapshot(bench)
    bench.qemu_img("snapshot", "-a", "before", bench.image)


def _snapshot_deleted(bench: Workbench) -> None:
    _with_snapshot(bench)
    bench.qemu_img("snapshot", "-d", "before", bench.image)
    bench.qemu_io(*bench.writes(2))


def _reverted_and_deleted(bench: Workbench) -> None:
    _reverted(bench)
    bench.qemu_img("snapshot", "-d", "before", bench.image)


def _resized(bench: Workbench, size: int, *options: str) -> None:
    bench.qemu_img("resize", "-q", *options, "-f", "qcow2", bench.image, size)


def _grown(bench: Workbench) -> None:
    bench.convert()
    _resized(bench, bench.layout.disk_bytes * 2 + 512)
    bench.qemu_io(f"write -P 9 {bench.layout.disk_bytes - 512} 40960")


def _grown_until_l1_moved(bench: Workbench) -> None:
    bench.convert()
    _resized(bench, bench.layout.disk_bytes + 18 * MIB)
    bench.qemu_io(f"write -P 5 {bench.layout.disk_bytes + 17 * MIB} 30208", *bench.writes(3))


def _shrunk(bench: Workbench) -> None:
    bench.convert()
    _resized(bench, bench.layout.disk_bytes // 3 // 512 * 512, "--shrink")


def _shrunk_and_grown(bench: Workbench) -> None:
    _shrunk(bench)
    _resized(bench, bench.layout.disk_bytes)


def _not_closed(bench: Workbench) -> None:
    bench.convert()
    image = bench.image.read_bytes()
    bench.image.write_bytes(put(image, 79, "B", image[79] | 1))  # as after a crash with lazy reference counts


def _appended(bench: Workbench) -> None:
    bench.convert()
    with bench.image.open("ab") as file:
        file.write(bench.random.randbytes(bench.random.randint(1, 200_000)))


def _stripped(bench: Workbench) -> None:
    bench.convert()
    bench.image.write_bytes(bench.image.read_bytes().rstrip(b"\0"))


def _committed(bench: Workbench) -> None:
    bench.convert()
    bench.qemu_img("create", "-f", "qcow2", "-b", "image.qcow2", "-F", "qcow2", "top.qcow2")
    bench.qemu_io(*bench.writes(6), *bench.zeros(3), image="top.qcow2")
    bench.qemu_img("commit", "-q", "top.qcow2")


def _rebased(bench: Workbench) -> None:
    creation = replace(bench.layout, preallocation="off").creation
    bench.qemu_img("create", "-f", "qcow2", "-b", "disk.raw", "-F", "raw", *creation, bench.image)
    bench.qemu_io(*bench.writes(6), *bench.zeros(3))
    bench.qemu_img("rebase", "-b", "", bench.image)


def _from_vdi(bench: Workbench) -> None:
    bench.qemu_img("convert", "-f", "raw", "-O", "vdi", "disk.raw", "disk.vdi")
    bench.convert(source=("vdi", "disk.vdi"))


def _upgraded(bench: Workbench) -> None:
    bench.convert()
    bench.qemu_img("amend", "-f", "qcow2", "-o", "compat=1.1", bench.image)
    bench.qemu_img("amend", "-f", "qcow2", "-o", "refcount_bits=64", bench.image)
    bench.qemu_io(*bench.writes(4), *bench.zeros(2))


def _copied_again(bench: Workbench) -> None:
    _overwritten(bench)
    bench.image.rename(bench.folder / "first.qcow2")
    bench.convert("-m", "4", source=("qcow2", "first.qcow2"))


HISTORIES: dict[str, Callable[[Workbench], None]] = {
    "converted": Workbench.convert,
    "converted out of order": lambda bench: bench.convert("-W", "-m", "16"),
    "overwritten": _overwritten,
    "written backwards": _written_backwards,
    "written compressed": _written_compressed,
    "discarded": _discarded,
    "zeroed": _zeroed,
    "with bitmap": _with_bitmap,
    "with snapshot": _with_snapshot,
    "reverted": _reverted,
    "snapshot deleted": _snapshot_deleted,
    "reverted and deleted": _reverted_and_deleted,
    "grown": _grown,
    "grown until L1 moved": _grown_until_l1_moved,
    "shrunk": _shrunk,
    "shrunk and grown": _shrunk_and_grown,
    "lazy": _overwritten,
    "not closed": _not_closed,
    "appended": _appended,
    "stripped": _stripped,
    "committed": _committed,
    "rebased": _rebased,
    "from vdi": _from_vdi,
    "upgraded": _upgraded,
    "copied again": _copied_again,
}

HANDED_OVER = frozenset({"with bitmap", "with snapshot", "reverted", "not closed"})
"""What qemu-img reads, by the header alone."""

_NEW_ONLY = frozenset({"with bitmap", "lazy", "not closed"})
_WITH_SNAPSHOTS = frozenset({"with snapshot", "reverted", "snapshot deleted", "reverted and deleted"})
_WITHOUT_SPACE = frozenset({"rebased", "written compressed"})
"""Images that cannot be created with their space: a backing file, or a place for compressed clusters, comes first."""


@lru_cache(maxsize=48)
def image_of(layout: Layout) -> bytes:
    """Return the image."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(Path(folder), layout)
        HISTORIES[layout.history](bench)
        return bench.image.read_bytes()


def converted(image: bytes) -> bytes | None:
    """Return what `qemu-img convert -O raw` makes of a qcow2; None if it ends with an error."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "image").write_bytes(image)
        command = ["qemu-img", "convert", "-t", "unsafe", "-f", "qcow2", "-O", "raw", "image", "raw"]
        result = subprocess.run(command, capture_output=True, cwd=folder, timeout=60)
        return None if result.returncode else (folder / "raw").read_bytes()


def covering(choices: Mapping[str, Sequence[object]], histories: Sequence[str] = (), seed: int = 1) -> list[Layout]:
    """Return layouts in which every two values of different options meet that can meet in one layout.

    choices: the values of each option, by the name of the layout's field. The same layouts for the same seed.
    histories: each is the history of at least one layout, besides.
    """
    rng, chosen = random.Random(seed), list[Layout]()
    missing = {
        ((one, value), (other, with_value))
        for (one, values), (other, others) in itertools.combinations(choices.items(), 2)
        for value in values
        for with_value in others
    }
    waiting = list(histories)
    while missing or waiting:
        wanted = min(missing, key=str, default=())
        best, best_pairs = None, set[object]()
        for attempt in range(120):
            fields = {name: rng.choice(values) for name, values in choices.items()}
            fields |= {"history": waiting[0]} if waiting else {"history": rng.choice(histories)} if histories else {}
            if attempt % 2 or not waiting:
                fields |= dict(wanted)
            layout = Layout(**fields)  # type: ignore[arg-type]
            pairs = missing & set(itertools.combinations(((name, fields[name]) for name in choices), 2))
            if layout.exists and (best is None or len(pairs) > len(best_pairs)):
                best, best_pairs = layout, pairs
        if best is not None and (best_pairs or waiting):
            chosen.append(best)
        if waiting:
            del waiting[0]
        elif not best_pairs:
            best_pairs = {wanted}  # the two cannot meet
        missing -= best_pairs
    return chosen

"""Which file system a path is on, as the kernel has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """kind: such as ext4 or nfs4. options: of the file system itself."""

    point: Path
    kind: str
    options: tuple[str, ...]


def mount_of(path: Path, table: Path = MOUNTS) -> Mount | None:
    """Return the innermost mount that holds the path; None if the kernel does not say."""
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return None
    mounts = [mount for line in lines if (mount := _parse(line)) and path.resolve().is_relative_to(mount.point)]
    # Of two mounts on one point the later one covers the other.
    return max(reversed(mounts), key=lambda mount: len(mount.point.parts), default=None)


def _parse(line: str) -> Mount | None:
    left, _, right = line.partition(" - ")
    fields, more = left.split(), right.split()
    if len(fields) < 5 or len(more) < 3:
        return None
    point = fields[4].encode("ascii", "replace").decode("unicode_escape")  # a blank is \\040
    return Mount(Path(point), more[0], tuple(more[2].split(",")))

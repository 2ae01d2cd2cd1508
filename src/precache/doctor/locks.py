"""On a host: the directory of the lock files that nova-compute uses too, and whether locks work there."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from precache.config.load import Config
from precache.doctor.directories import check_directory
from precache.doctor.findings import Finding, failed, ok, skipped, warning

_LOCAL_LOCKS = ("nolock", "local_lock=all", "local_lock=posix")
_LOCK_FILES = "nova-*"


def check_locks(config: Config) -> Iterator[Finding]:
    """Lock a test file in the directory of the lock files."""
    instances = config.host.instances_path
    directory = instances / "locks"
    if directory.exists():
        yield from check_directory(directory, "the lock directory")
        yield from _foreign_files(directory)
    place = directory if directory.is_dir() else instances
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        yield skipped(f"no lock was tried, because nothing can be written in {place}")
        return
    yield try_lock(place, mount_of(place))


def try_lock(place: Path, mount: Mount | None) -> Finding:
    kind = mount.kind if mount else "an unknown file system"
    try:
        with tempfile.NamedTemporaryFile(prefix=".precache-doctor-", dir=place) as file:
            fcntl.lockf(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return failed(
            f"a file in {place} ({kind}) cannot be locked: {error.strerror}",
            "mount that file system with POSIX locks, because boots and pre-caching could disturb each other without",
        )
    if mount and mount.kind.startswith("nfs") and any(option in mount.options for option in _LOCAL_LOCKS):
        return warning(
            f"{place} is on {kind}, mounted with locks that other hosts do not see",
            "mount it without nolock and local_lock if several hosts share it",
        )
    return ok(f"files in {place} ({kind}) can be locked")


def _foreign_files(directory: Path) -> Iterator[Finding]:
    """Find lock files of another owner than the directory's: nova-compute would fail to open them."""
    owner = directory.stat().st_uid
    foreign = [path for path in directory.glob(_LOCK_FILES) if path.lstat().st_uid != owner]
    if foreign:
        yield failed(
            f"{len(foreign)} lock files in {directory} do not belong to its owner, such as {foreign[0].name}",
            f"give them to the owner, or nova-compute cannot boot from those images: chown {owner} {directory}/nova-*",
        )


MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """kind: such as ext4 or nfs4. options: of the file system itself."""

    point: Path
    kind: str
    options: tuple[str, ...]


def mount_of(path: Path, table: Path = MOUNTS) -> Mount | None:
    """Return the innermost mount of the path; None if it is not in the list."""
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

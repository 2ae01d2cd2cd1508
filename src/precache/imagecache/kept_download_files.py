"""The two files of each kept download, or of kept pieces: the data, and a record that says what it is.

Nova's cleaner ignores their names. The record is written last and removed first, so data without a record is left over.
The caller excludes others that change the same files.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from precache.core.images import Image, ImageId
from precache.imagecache.names import KEPT, parse_temporary, temporary_name
from precache.imagecache.publish import open_directory, open_own
from precache.imagecache.space.disk_usage import allocated_bytes
from precache.imagecache.staging import create_file

_MOST_RECORD_BYTES = 1 << 16

_DIRECTORY_GONE = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDownloadRecord:
    """What the data of a kept download is.

    size_bytes, digest: of the whole image. jobs: those that want it. kept_at: or when no job wanted it any more.
    form: empty for a download, which is whole up to `received_bytes`. For pieces that came from other hosts, the form
        of the file in which they are, anywhere; then size_bytes is of this file, and there is no digest: each piece is
        checked when it is used. Releases that do not know the field remove such data, because of the digest.
    """

    image: str
    size_bytes: int
    digest: str
    received_bytes: int
    kept_at: str
    jobs: tuple[str, ...]
    form: str = ""

    @classmethod
    def read(cls, text: bytes) -> KeptDownloadRecord:
        """Raises ValueError, KeyError, TypeError for anything that is not a record."""
        fields: dict[str, Any] = json.loads(text)
        fields = {"form": ""} | fields | {"jobs": tuple(map(str, fields["jobs"]))}
        record = cls(**{name: fields[name] for name in cls.__slots__})
        if not 0 < record.received_bytes <= record.size_bytes or record.kept_time.tzinfo is None:
            raise ValueError("the numbers of the record are impossible")
        return record

    @property
    def kept_time(self) -> datetime:
        return datetime.fromisoformat(self.kept_at)

    def fits(self, image: Image) -> bool:
        """Return whether the image has still the data that was being received."""
        is_of_image = (self.image, self.size_bytes, self.digest) == (image.id, image.size_bytes, str(image.digest))
        return is_of_image and not self.form

    def fits_pieces(self, image: ImageId, form: str) -> bool:
        """Return whether the data is pieces of the image in this form."""
        return bool(self.form) and (self.image, self.form) == (image, form)


class KeptDownloadFiles:
    """The files of the kept downloads in one directory, which may not exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def data_path(self, entry: str) -> Path:
        """Return the path of the data that is kept for the entry, or would be."""
        return self._path(entry, "data")

    def records(self) -> list[tuple[str, KeptDownloadRecord | None]]:
        """Return the entries for which there is a file, each with its record; None if that cannot be read."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except _DIRECTORY_GONE:
            return []
        found = {parsed[0] for name in names if (parsed := parse_temporary(name)) and parsed[1] == KEPT}
        return [(entry, self.read_record(entry)) for entry in sorted(found)]

    def read_record(self, entry: str) -> KeptDownloadRecord | None:
        """Return the record; None if there is none, or it cannot be read."""
        try:
            with open_directory(self._directory) as directory:
                fd = open_own(self._path(entry, "record").name, directory)
            with os.fdopen(fd, "rb") as file:
                record = KeptDownloadRecord.read(file.read(_MOST_RECORD_BYTES))
            return self._as_on_disk(entry, record) if record.form else record
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _as_on_disk(self, entry: str, record: KeptDownloadRecord) -> KeptDownloadRecord:
        """Return the record of pieces with what the disk says of them: they arrive while it stays. Raises OSError."""
        found = self._path(entry, "data").lstat()
        written_at = datetime.fromtimestamp(found.st_mtime, UTC)
        return replace(
            record,
            received_bytes=max(1, min(allocated_bytes(found), record.size_bytes)),
            kept_at=max(record.kept_time, written_at).isoformat(),
        )

    def store_pieces(self, entry: str, path: Path, record: KeptDownloadRecord) -> None:
        """Link the file at `path` to its place, too, so that its data outlives this process; write the record.

        Raises OSError, as on a file system without links.
        """
        data = self._path(entry, "data")
        if not _is_same(data, path):
            self.remove(entry)
            os.link(path, data, follow_symlinks=False)
        self.write_record(entry, record)

    def store(self, entry: str, path: Path, record: KeptDownloadRecord) -> None:
        """Move the file at `path`, as long as the record says, to its place, and write the record. Raises OSError."""
        data = self._path(entry, "data")
        _truncate(path, record.received_bytes)
        if not _is_same(data, path):
            self._path(entry, "record").unlink(missing_ok=True)  # it is that of other data
            path.rename(data)
        self.write_record(entry, record)

    def write_record(self, entry: str, record: KeptDownloadRecord) -> None:
        """Write the record in place of the earlier one. Raises OSError; then the earlier one is still there."""
        new = self._path(entry, "new")
        new.unlink(missing_ok=True)
        try:
            create_file(new, json.dumps(asdict(record)).encode())
            new.rename(self._path(entry, "record"))
        finally:
            new.unlink(missing_ok=True)

    def link(self, entry: str, path: Path, received_bytes: int) -> bool:
        """Link the data to the name `path`, too; return whether this process alone has it, and it is long enough.

        Raises OSError.
        """
        data = self._path(entry, "data")
        links = 2
        try:
            os.link(data, path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:  # a file system without links: a kill loses this download
            data.rename(path)
            links = 1
        found = path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_nlink == links and found.st_size >= received_bytes

    def remove(self, entry: str) -> None:
        """Remove both files; harmless if there is none. Raises OSError."""
        for kind in ("record", "data"):
            self._path(entry, kind).unlink(missing_ok=True)

    def _path(self, entry: str, kind: str) -> Path:
        return self._directory / temporary_name(entry, KEPT, kind)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except FileNotFoundError:
        return False


def _truncate(path: Path, size_bytes: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, size_bytes)
    finally:
        os.close(fd)

"""The files of each kept download, kept pieces or kept decoding: the data, and a record that says what it is.

A decoding has a third one, the side file. Nova's cleaner ignores their names. The record is written last and removed
first, so data without a record is left over. The caller excludes others that change the same files.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from precache.imagecache.kept_record import FileState, KeptDecoding, KeptDownloadRecord
from precache.imagecache.names import KEPT, KEPT_SIDE, parse_temporary, temporary_name
from precache.imagecache.publish import open_directory, open_own
from precache.imagecache.space.disk_usage import allocated_bytes
from precache.imagecache.staging import create_file

_MOST_RECORD_BYTES = 1 << 16

_DIRECTORY_GONE = (FileNotFoundError, NotADirectoryError)


class KeptDownloadFiles:
    """The files of the kept downloads in one directory, which may not exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def data_path(self, entry: str) -> Path:
        """Return the path of the data that is kept for the entry, or would be."""
        return self._path(entry, "data")

    def has_data(self, entry: str) -> bool:
        """Return whether there is data; not while a decoding goes on, or after it was killed."""
        return os.path.lexists(self.data_path(entry))

    def records(self) -> list[tuple[str, KeptDownloadRecord | None]]:
        """Return the entries for which there is a file, each with its record; None if that cannot be read."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except _DIRECTORY_GONE:
            return []
        found = {parsed[0] for name in names if (parsed := parse_temporary(name)) and parsed[1] in (KEPT, KEPT_SIDE)}
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
            self._side_path(entry).unlink(missing_ok=True)
            path.rename(data)
        self.write_record(entry, record)

    def store_decoding(self, entry: str, result: Path, side: Path) -> tuple[FileState, FileState | None]:
        """Move both files of a decoding to their places, and return their states for a record that follows.

        side: may not exist. The data is on the disk when this returns. Raises OSError.
        """
        self.remove(entry)
        result.rename(self.data_path(entry))
        with suppress(FileNotFoundError):
            side.rename(self._side_path(entry))
        with open_directory(self._directory) as directory:
            kept = _flushed_state(self.data_path(entry).name, directory)
            if kept is None:
                raise FileNotFoundError(None, "the result of a decoding is gone", str(self.data_path(entry)))
            return kept, _flushed_state(self._side_path(entry).name, directory)

    def move_decoding(self, entry: str, decoding: KeptDecoding, result: Path, side: Path) -> bool:
        """Move both files of a decoding to these paths if they are what the record says; return whether they are.

        The record stays: with other files it is useless. Raises OSError.
        """
        with open_directory(self._directory) as directory:
            states = [_flushed_state(path.name, directory) for path in (self.data_path(entry), self._side_path(entry))]
        if states != [decoding.result, decoding.side]:
            return False
        self.data_path(entry).rename(result)
        if decoding.side is not None:
            self._side_path(entry).rename(side)
        return True

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
        """Remove all files; harmless if there is none. Raises OSError."""
        for path in (self._path(entry, "record"), self.data_path(entry), self._side_path(entry)):
            path.unlink(missing_ok=True)

    def _side_path(self, entry: str) -> Path:
        return self._directory / temporary_name(entry, KEPT_SIDE, "data")

    def _path(self, entry: str, kind: str) -> Path:
        return self._directory / temporary_name(entry, KEPT, kind)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except FileNotFoundError:
        return False


def _flushed_state(name: str, directory: int) -> FileState | None:
    """Write the file to the disk, and return its state; None if there is none.

    Raises OSError, also if it is a link, has another name, too, or is another user's.
    """
    try:
        fd = open_own(name, directory)
    except FileNotFoundError:
        return None
    try:
        os.fsync(fd)
        return FileState.of(os.fstat(fd))
    finally:
        os.close(fd)


def _truncate(path: Path, size_bytes: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, size_bytes)
    finally:
        os.close(fd)

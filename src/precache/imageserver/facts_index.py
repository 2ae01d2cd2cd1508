"""Stores hashes and sizes in a file, so that each image file is read only once.

Not thread-safe: the library holds its lock around every call."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from precache.imageserver.records import FileFacts, Fingerprint

_log = logging.getLogger(__name__)

_VERSION = 1
_FileKey = tuple[str, Fingerprint]


class FactsIndex:
    """Facts by file name and fingerprint. If the file is lost, all images are hashed again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._facts = self._load()

    def get(self, name: str, fingerprint: Fingerprint) -> FileFacts | None:
        return self._facts.get((name, fingerprint))

    def put(self, name: str, fingerprint: Fingerprint, facts: FileFacts) -> None:
        """Store the facts, also on disk. An error of the disk is only logged: the facts are valid without it."""
        self._facts[name, fingerprint] = facts
        self._save()

    def keep_only(self, files: Collection[_FileKey]) -> None:
        """Drop all other files, in memory; the next `put` drops them on disk."""
        self._facts = {key: facts for key, facts in self._facts.items() if key in files}

    def _load(self) -> dict[_FileKey, FileFacts]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["version"] != _VERSION:
                return {}
            return {(row["name"], Fingerprint(**row["file"])): FileFacts(**row["facts"]) for row in content["files"]}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as exc:
            _log.warning("image index %s cannot be read (%s); all image files are hashed again", self._path, exc)
            return {}

    def _save(self) -> None:
        rows = [
            {"name": name, "file": asdict(fingerprint), "facts": asdict(facts)}
            for (name, fingerprint), facts in self._facts.items()
        ]
        staged = self._path.with_name(f"{self._path.name}.new")
        try:
            with staged.open("w", encoding="utf-8") as out:
                # ASCII keeps file names that are not UTF-8, as lone surrogate escapes.
                json.dump({"version": _VERSION, "files": rows}, out, ensure_ascii=True)
                out.flush()
                os.fsync(out.fileno())
            staged.replace(self._path)
        except OSError as exc:
            _log.warning("image index %s cannot be written (%s); the next start hashes again", self._path, exc)

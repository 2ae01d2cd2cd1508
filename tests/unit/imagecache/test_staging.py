"""Two fillings never share a file, even if both believe that they hold the lock."""

from __future__ import annotations

from pathlib import Path

from precache.imagecache.staging import Staging
from tests.unit.imagecache.conftest import ENTRY


def test_a_kind_has_one_path_within_a_filling_and_another_in_the_next(tmp_path: Path) -> None:
    staging, next_staging = Staging(tmp_path, ENTRY), Staging(tmp_path, ENTRY)

    assert staging.path("raw") == staging.path("raw")
    assert staging.path("raw") != staging.path("download")
    assert staging.path("raw") != next_staging.path("raw")


def test_a_discard_removes_every_file_of_this_filling_and_of_no_other(tmp_path: Path) -> None:
    staging, other = Staging(tmp_path, ENTRY), Staging(tmp_path, ENTRY)
    for path in (staging.path("raw"), staging.path("download"), other.path("raw"), tmp_path / ENTRY):
        path.touch()

    staging.discard()

    assert set(tmp_path.iterdir()) == {other.path("raw"), tmp_path / ENTRY}


def test_a_discard_of_nothing_is_harmless(tmp_path: Path) -> None:
    Staging(tmp_path, ENTRY).discard()

"""`precache image pieces`, run as the program runs it."""

import hashlib
import io
import os

import pytest

from precache.cli.app import PrecacheApp

CONTENT = os.urandom(70_000) + bytes(130_000) + os.urandom(5)


def run(*words: object) -> tuple[int, str]:
    stderr = io.StringIO()
    code = PrecacheApp(environ={}, stdout=io.StringIO(), stderr=stderr).run(["image", "pieces", *map(str, words)])
    return code, stderr.getvalue()


def test_the_file_has_32_bytes_for_each_piece(tmp_path):
    (tmp_path / "image").write_bytes(CONTENT)

    code, told = run(tmp_path / "image", tmp_path / "pieces")

    assert (code, told) == (0, f"{tmp_path / 'pieces'} has the digests of 4 pieces of 64 KiB.\n")
    pieces = (CONTENT[start : start + 65_536] for start in range(0, len(CONTENT), 65_536))
    assert (tmp_path / "pieces").read_bytes() == b"".join(hashlib.sha256(piece).digest() for piece in pieces)


@pytest.mark.parametrize(("image", "why"), [("missing", "No such file or directory"), ("directory", "not a file")])
def test_without_an_image_nothing_is_left(tmp_path, image, why):
    (tmp_path / "directory").mkdir()

    code, told = run(tmp_path / image, tmp_path / "pieces")

    assert code != 0
    assert f"{tmp_path / image}: " in told
    assert why in told
    assert not (tmp_path / "pieces").exists()


def test_a_file_that_exists_is_not_replaced(tmp_path):
    (tmp_path / "image").write_bytes(CONTENT)
    (tmp_path / "pieces").write_bytes(b"mine")

    code, told = run(tmp_path / "image", tmp_path / "pieces")

    assert code != 0
    assert str(tmp_path / "pieces") in told
    assert (tmp_path / "pieces").read_bytes() == b"mine"

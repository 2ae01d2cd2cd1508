"""Which files are images, and what becomes of them when they change."""

import hashlib
import json
import logging
import os
import time
from datetime import timedelta

import pytest
from falcon.testing import TestClient

from precache.core.images import parse_image_id
from precache.imageserver import create_image_app
from precache.imageserver.directory_scan import ImagesUnreadable
from precache.imageserver.file_facts import BLOCK_BYTES
from tests.waiting import wait_until

MINUTES_TO_HASH_BYTES = 1 << 37


def names(library):
    return sorted(image.file_name for image in library.images())


def only_image(library):
    (image,) = library.images()
    return image


def test_an_image_has_the_hashes_and_the_size_of_its_file(images_dir, open_library):
    (images_dir / "debian.raw").write_bytes(b"content")

    image = only_image(open_library())

    assert image.facts.sha512 == hashlib.sha512(b"content").hexdigest()
    assert image.facts.md5 == hashlib.md5(b"content").hexdigest()
    assert image.fingerprint.size_bytes == 7
    assert parse_image_id(image.id) == image.id


def test_an_image_keeps_its_id_when_its_file_is_copied_elsewhere_and_back(images_dir, index_path, open_library):
    path = images_dir / "debian.raw"
    path.write_bytes(b"content")
    before = only_image(open_library()).id
    path.unlink()
    index_path.unlink()
    path.write_bytes(b"content")

    assert only_image(open_library()).id == before


def test_the_same_content_under_another_name_is_another_image(images_dir, open_library):
    (images_dir / "a.raw").write_bytes(b"content")
    (images_dir / "b.raw").write_bytes(b"content")

    assert len({image.id for image in open_library().images()}) == 2


def test_a_file_that_is_put_in_later_appears(images_dir, open_library):
    library = open_library()
    assert names(library) == []

    (images_dir / "late.qcow2").write_bytes(b"x")

    assert names(library) == ["late.qcow2"]


def test_a_removed_file_is_gone_at_once(images_dir, open_library):
    (images_dir / "debian.raw").write_bytes(b"x")
    library = open_library()
    image = only_image(library)

    (images_dir / "debian.raw").unlink()

    assert library.find(image.id) is None
    assert names(library) == []


@pytest.mark.parametrize("in_place", [True, False], ids=["overwritten", "renamed over"])
def test_a_replaced_file_is_a_new_image_and_the_old_one_is_gone(images_dir, open_library, in_place):
    path = images_dir / "debian.raw"
    path.write_bytes(b"one")
    library = open_library()
    old = only_image(library)

    replacement = path if in_place else images_dir / "debian.raw.part"
    replacement.write_bytes(b"another")
    replacement.rename(path)

    assert library.find(old.id) is None
    assert library.open(old) is None
    assert only_image(library).facts.sha512 == hashlib.sha512(b"another").hexdigest()


def test_a_file_that_is_being_written_is_not_an_image_until_it_has_been_quiet(images_dir, open_library):
    path = images_dir / "copying.raw"
    path.write_bytes(b"half of")
    written_at = path.stat().st_mtime
    now = [written_at + 5]
    library = open_library(settle=timedelta(seconds=10), patience=timedelta(), now=lambda: now[0])
    assert names(library) == []
    library.close()

    now[0] = written_at + 11
    library = open_library(settle=timedelta(seconds=10), now=lambda: now[0])

    assert names(library) == ["copying.raw"]


def test_a_time_of_change_in_the_future_does_not_hide_an_image(images_dir, open_library):
    path = images_dir / "from-an-archive.raw"
    path.write_bytes(b"x")
    os.utime(path, (4e9, 4e9))

    assert names(open_library(settle=timedelta(seconds=2))) == ["from-an-archive.raw"]


def test_what_is_no_image_file_is_passed(images_dir, open_library, caplog):
    (images_dir / "directory.raw").mkdir()
    (images_dir / "dangling.raw").symlink_to(images_dir / "nowhere")
    os.mkfifo(images_dir / "pipe.raw")
    for silent in (".hidden.raw", "notes.txt", "debian.raw.part", "noending"):
        (images_dir / silent).write_bytes(b"x")
    library = open_library()

    assert names(library) == names(library) == []

    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 3  # each once, however often one looks
    assert "image file 'pipe.raw' is not served: it is not a regular file" in said


def test_a_link_to_a_file_is_an_image(images_dir, tmp_path, open_library):
    (tmp_path / "elsewhere").write_bytes(b"x")
    (images_dir / "linked.iso").symlink_to(tmp_path / "elsewhere")

    assert names(open_library()) == ["linked.iso"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_passed_and_said(images_dir, open_library, caplog):
    (images_dir / "secret.raw").write_bytes(b"x")
    (images_dir / "secret.raw").chmod(0)

    assert names(open_library()) == []
    assert "'secret.raw' is not served: Permission denied" in caplog.text


def test_a_missing_directory_is_not_the_same_as_no_images(images_dir, open_library):
    library = open_library()
    images_dir.rmdir()

    with pytest.raises(ImagesUnreadable, match="cannot be read: No such file or directory"):
        library.images()

    images_dir.mkdir()
    assert names(library) == []


def test_clients_are_told_that_the_directory_is_missing(images_dir, open_library):
    client = TestClient(create_image_app(library=open_library()))
    images_dir.rmdir()

    answer = client.simulate_get("/v2/images", headers={"Accept": "application/json"})

    assert answer.status_code == 503
    assert "cannot be read" in answer.json["message"]


@pytest.mark.parametrize("name", ["with space.raw", "ümlaut.raw", "new\nline.raw", "UPPER.RAW", b"no-utf8-\xff.raw"])
def test_odd_names_are_images_too_and_survive_a_restart(images_dir, open_library, name):
    path = os.path.join(os.fsencode(images_dir), os.fsencode(name))
    with open(path, "wb") as out:
        out.write(b"x")

    first = only_image(open_library())
    again = only_image(open_library())

    assert first == again
    assert first.file_name == os.fsdecode(name)


def test_a_restart_hashes_no_file_again(images_dir, index_path, open_library):
    (images_dir / "debian.raw").write_bytes(b"x")
    open_library().images()
    marked = index_path.read_text().replace(hashlib.sha512(b"x").hexdigest(), "from the index")
    index_path.write_text(marked)

    assert only_image(open_library()).facts.sha512 == "from the index"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1, "files": [{}]}', '{"version": 99}', "\x00"])
def test_a_broken_index_costs_only_the_time_to_hash_again(images_dir, index_path, open_library, content):
    (images_dir / "debian.raw").write_bytes(b"x")
    index_path.write_text(content)

    assert names(open_library()) == ["debian.raw"]
    assert len(json.loads(index_path.read_text())["files"]) == 1


def test_the_index_drops_missing_files(images_dir, index_path, open_library):
    (images_dir / "old.raw").write_bytes(b"x")
    library = open_library()
    library.images()
    (images_dir / "old.raw").unlink()
    (images_dir / "new.raw").write_bytes(b"x")
    library.images()

    assert [row["name"] for row in json.loads(index_path.read_text())["files"]] == ["new.raw"]


def test_an_index_that_cannot_be_written_is_said_and_does_no_harm(images_dir, index_path, open_library, caplog):
    index_path.mkdir()
    (images_dir / "debian.raw").write_bytes(b"x")

    assert names(open_library()) == ["debian.raw"]
    assert "cannot be written" in caplog.text


def test_a_small_file_does_not_wait_for_a_large_one(images_dir, open_library):
    with (images_dir / "large.raw").open("wb") as sparse:
        sparse.truncate(MINUTES_TO_HASH_BYTES)
    library = open_library(patience=timedelta(seconds=0.1))
    assert names(library) == []
    assert library.unread_count == 1

    (images_dir / "small.raw").write_bytes(b"x")

    wait_until(lambda: names(library) == ["small.raw"])
    assert library.unread_count == 1


def test_requests_wait_for_a_large_file_only_once(images_dir, open_library):
    with (images_dir / "large.raw").open("wb") as sparse:
        sparse.truncate(MINUTES_TO_HASH_BYTES)
    patience = timedelta(seconds=1)
    library = open_library(patience=patience)
    library.images()

    begun = time.monotonic()
    for _ in range(20):
        assert library.images() == []
        assert library.find("7c7b28d3-0000-0000-0000-000000000000") is None

    assert time.monotonic() - begun < 10 * patience.total_seconds()  # far from 40 times, far from 0 times


def test_the_hashing_of_a_removed_file_ends(images_dir, open_library, caplog):
    caplog.set_level(logging.INFO)
    with (images_dir / "large.raw").open("wb") as sparse:
        sparse.truncate(MINUTES_TO_HASH_BYTES)
    open_library(patience=timedelta(seconds=0.1)).images()

    (images_dir / "large.raw").unlink()

    wait_until(lambda: "'large.raw' changed while it was read" in caplog.text)


def test_a_large_file_becomes_an_image_although_others_came_first(images_dir, open_library):
    large = bytes(8 * BLOCK_BYTES) + b"end"
    (images_dir / "large.raw").write_bytes(large)
    library = open_library(patience=timedelta())
    library.images()
    for number in range(3):
        (images_dir / f"small{number}.raw").write_bytes(b"x")

    wait_until(lambda: len(library.images()) == 4)

    [image] = [image for image in library.images() if image.file_name == "large.raw"]
    assert image.facts.sha512 == hashlib.sha512(large).hexdigest()
    assert library.unread_count == 0


def test_the_list_has_the_number_of_files_that_are_still_being_read(images_dir, open_library):
    client = TestClient(create_image_app(library=open_library(patience=timedelta(seconds=0.1))))
    assert "unread_files" not in client.simulate_get("/v2/images").json

    with (images_dir / "large.raw").open("wb") as sparse:
        sparse.truncate(MINUTES_TO_HASH_BYTES)

    assert client.simulate_get("/v2/images").json["unread_files"] == 1

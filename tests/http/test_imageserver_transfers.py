"""Transfers of the embedded image service over a real connection, when one side does not do its part."""

import contextlib
import hashlib
import http.client
import json
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.core.relays import PIECE_BYTES
from precache.imageserver import ImageLibrary, RequestLog, create_image_app
from tests.listening import listening

SIZE = 32 * 1024 * 1024  # far more than sockets hold, so that the server cannot have sent it all


@contextlib.contextmanager
def serving(tmp_path, overrides=None):
    """Return a library with one large image, a hole without data, and the URL of its service."""
    images_dir = tmp_path / "images"
    images_dir.mkdir()
    with (images_dir / "large.raw").open("wb") as out:
        out.truncate(SIZE)
    library = ImageLibrary(
        images_dir=images_dir, index_path=tmp_path / "index.json", settle=timedelta(), overrides=overrides
    )
    app = create_image_app(library=library, log=RequestLog(path=tmp_path / "requests.log"))
    with contextlib.closing(library), listening(app) as url:
        yield library, url


def begin(url, image, part="file"):
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request("GET", f"{address.path}/v2/images/{image.id}/{part}")
    return connection.getresponse()


def test_a_client_that_disconnects_does_not_affect_others(tmp_path):
    with serving(tmp_path) as (library, url):
        (image,) = library.images()
        leaver = begin(url, image)
        leaver.read(10)
        leaver.close()

        complete = begin(url, image).read()

    assert len(complete) == SIZE
    lines = [json.loads(line) for line in (tmp_path / "requests.log").read_text().splitlines()]
    sent = sorted(line["bytes_sent"] for line in lines)
    assert sent[0] < sent[1] == SIZE


def test_the_record_says_where_the_digests_of_the_pieces_are(tmp_path):
    with serving(tmp_path) as (library, url):
        with (tmp_path / "images/large.raw").open("r+b") as out:
            out.write(b"data")
            out.truncate(SIZE - 1000)
        (image,) = library.images()
        images = GlanceImages(session=open_session(), endpoint=url)

        digests = images.read_pieces(images.show(image.id), SIZE)

    content = b"data".ljust(SIZE - 1000, b"\0")
    pieces = (content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES))
    assert digests == b"".join(hashlib.sha256(piece).digest() for piece in pieces)


@pytest.mark.parametrize(("status", "answer"), [("deactivated", 403), ("queued", 204)])
def test_an_image_whose_data_may_not_be_read_has_no_digests(tmp_path, status, answer):
    with serving(tmp_path, {"large.raw": {"status": status}}) as (library, url):
        (image,) = library.images()

        assert begin(url, image, "pieces").status == answer


def test_data_of_a_file_that_changes_meanwhile_end_early(tmp_path):
    with serving(tmp_path) as (library, url):
        (image,) = library.images()
        response = begin(url, image)
        response.read(10)
        with image.path.open("r+b") as out:
            out.write(b"changed")

        with pytest.raises(http.client.IncompleteRead) as raised:
            response.read()
        afterwards = begin(url, image)

    assert len(raised.value.partial) < SIZE - 10
    assert afterwards.status == 404

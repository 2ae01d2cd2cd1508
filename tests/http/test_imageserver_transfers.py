"""Transfers of the embedded image service over a real connection, when one side does not do its part."""

import contextlib
import http.client
import json
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from precache.imageserver import ImageLibrary, RequestLog, create_image_app
from tests.listening import listening

SIZE = 32 * 1024 * 1024  # far more than sockets hold, so that the server cannot have sent it all


@contextlib.contextmanager
def serving(tmp_path):
    """Return a library with one large image, a hole without data, and the URL of its service."""
    images_dir = tmp_path / "images"
    images_dir.mkdir()
    with (images_dir / "large.raw").open("wb") as out:
        out.truncate(SIZE)
    library = ImageLibrary(images_dir=images_dir, index_path=tmp_path / "index.json", settle=timedelta())
    app = create_image_app(library=library, log=RequestLog(path=tmp_path / "requests.log"))
    with contextlib.closing(library), listening(app) as url:
        yield library, url


def begin(url, image):
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request("GET", f"{address.path}/v2/images/{image.id}/file")
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

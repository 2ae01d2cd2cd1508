"""GlanceImages over TLS, with certificates of an authority of the test's own."""

import json
import socket
import threading
from contextlib import closing

import pytest

from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.core.errors import ImageServiceUnavailable
from precache.core.images import parse_image_id
from tests.lab.certificates import Authority
from tests.unit.adapters.faulty_server import FaultyServer, http

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
RECORD = http("200 OK", json.dumps({"id": IMAGE, "status": "active"}).encode())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def show(url, **options):
    return GlanceImages(session=open_session(**options), endpoint=url).show(IMAGE)


def test_a_private_authority_is_accepted_when_it_is_named(authority):
    with FaultyServer(RECORD, context=authority.certificate("127.0.0.1").context()) as server:
        assert show(server.url, verify=authority.cafile).id == IMAGE


def test_data_comes_over_tls_as_well(authority):
    with FaultyServer(http("200 OK", b"data"), context=authority.certificate("127.0.0.1").context()) as server:
        images = GlanceImages(session=open_session(verify=authority.cafile), endpoint=server.url)
        with closing(images.open(IMAGE)) as stream:
            buffer = memoryview(bytearray(10))
            count = stream.readinto(buffer)

    assert bytes(buffer[:count]) == b"data"


def test_an_unknown_authority_is_refused_with_advice(authority):
    with (
        FaultyServer(RECORD, context=authority.certificate("127.0.0.1").context()) as server,
        pytest.raises(ImageServiceUnavailable, match=r"certificate is not accepted \(.*\[service_user\] cafile"),
    ):
        show(server.url)

    assert server.requests == []


def test_the_certificate_of_another_server_is_refused(authority):
    with (
        FaultyServer(RECORD, context=authority.certificate("127.0.0.2").context()) as server,
        pytest.raises(ImageServiceUnavailable, match=r"not valid for 127\.0\.0\.1"),
    ):
        show(server.url, verify=authority.cafile)

    assert server.requests == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_checking_can_be_switched_off(authority):
    with FaultyServer(RECORD, context=authority.certificate("127.0.0.2").context()) as server:
        assert show(server.url, verify=False).id == IMAGE


def test_https_to_a_server_without_tls_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # What comes in is not HTTP, and such a server says so at once.
        answering = threading.Thread(target=_answer_once, args=(listener,))
        answering.start()
        with pytest.raises(ImageServiceUnavailable, match="correct http or https"):
            show(f"https://127.0.0.1:{listener.getsockname()[1]}")
        answering.join(10)


def _answer_once(listener):
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(http("400 Bad Request"))

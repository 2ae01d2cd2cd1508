"""GlanceImages against a server that goes wrong in every way that we could think of: records and statuses."""

import json
import logging
from datetime import timedelta

import pytest
from keystoneauth1.plugin import BaseAuthPlugin

from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.core.errors import (
    ImageNotAuthorized,
    ImageNotFound,
    ImageServiceUnavailable,
)
from precache.core.images import parse_image_id
from tests.unit.adapters.faulty_server import HOLD, FaultyServer, http

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
SOON = timedelta(seconds=0.2)  # only ever waited for by a server that would be silent for ever


def images_at(url, **options):
    return GlanceImages(session=open_session(), endpoint=url, **options)


def json_answer(document):
    return http("200 OK", json.dumps(document).encode())


def record(**fields):
    return http("200 OK", json.dumps({"id": IMAGE, "status": "active", **fields}).encode())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("404 Not Found", ImageNotFound),
        ("410 Gone", ImageNotFound),
        ("401 Unauthorized", ImageNotAuthorized),
        ("403 Forbidden", ImageNotAuthorized),
        ("400 Bad Request", ImageServiceUnavailable),
        ("429 Too Many Requests", ImageServiceUnavailable),
        ("500 Internal Server Error", ImageServiceUnavailable),
        ("503 Service Unavailable", ImageServiceUnavailable),
    ],
)
@pytest.mark.parametrize("call", ["show", "open", "show_to"])
def test_a_status_becomes_the_error_that_the_port_names(status, error, call):
    with FaultyServer(http(status, b"<html>oops</html>")) as server:
        arguments = ("token", IMAGE) if call == "show_to" else (IMAGE,)
        with pytest.raises(error):
            getattr(images_at(server.url), call)(*arguments)


def test_a_refused_connection_says_where_and_why():
    with FaultyServer(b"") as server:
        url = server.url

    with pytest.raises(ImageServiceUnavailable, match=rf"{url} failed: Connection refused$"):
        images_at(url).show(IMAGE)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", http("200 OK", b"{", Content_Length="100")])
def test_a_server_that_disconnects_or_uses_no_http_is_unavailable(answer):
    with FaultyServer(answer) as server, pytest.raises(ImageServiceUnavailable):
        images_at(server.url).show(IMAGE)


def test_a_server_that_never_answers_times_out():
    with FaultyServer((b"", HOLD)) as server, pytest.raises(ImageServiceUnavailable, match="in time"):
        images_at(server.url, read_timeout=SOON).show(IMAGE)


def test_a_kept_connection_that_the_server_has_closed_is_replaced():
    with FaultyServer(b"", record()) as server:
        image = images_at(server.url).show(IMAGE)

    assert image.id == IMAGE
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "body", [b"<html>login</html>", b"[]", b'{"id": "x", "status": "active"}', b'{"status": "active"}']
)
def test_an_answer_that_is_no_record_is_an_unavailable_service(body):
    with FaultyServer(http("200 OK", body)) as server, pytest.raises(ImageServiceUnavailable, match="as Glance does"):
        images_at(server.url).show(IMAGE)


def test_a_record_without_an_end_is_refused():
    endless = record(padding="x" * (1 << 20))
    with FaultyServer(endless) as server, pytest.raises(ImageServiceUnavailable, match="more than 1048576 bytes"):
        images_at(server.url).show(IMAGE)


def test_a_record_that_stops_arriving_times_out():
    begun = http("200 OK", b'{"id":', Content_Length="100")
    with FaultyServer((begun, HOLD)) as server, pytest.raises(ImageServiceUnavailable):
        images_at(server.url, record_timeout=SOON).show_to("token", IMAGE)


def test_the_record_of_another_image_is_refused():
    other = record(id="155d900f-4e14-4e4c-a73d-069cbf4541e6")
    with FaultyServer(other) as server, pytest.raises(ImageServiceUnavailable, match="another image"):
        images_at(server.url).show(IMAGE)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"kernel_id": "k", "ramdisk_id": "r"}, ("k", "r")),
        ({"kernel_id": "", "ramdisk_id": None}, (None, None)),
        ({"kernel_id": 7}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_a_record_names_kernel_and_ramdisk(fields, found):
    with FaultyServer(record(**fields)) as server:
        image = images_at(server.url).show(IMAGE)

    assert (image.kernel_id, image.ramdisk_id) == found


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, (None, False)),
        ({"owner": "p1", "precache": "true"}, ("p1", True)),
        ({"owner": "", "cache_in_nova": "True"}, (None, True)),
        ({"owner": 7, "cache_in_nova": "false", "precache": True}, (None, True)),
        ({"cache_in_nova": "no", "precache": 1}, (None, False)),
    ],
)
def test_a_record_has_owner_and_opt_in(fields, found):
    with FaultyServer(record(**fields)) as server:
        image = images_at(server.url).show(IMAGE)

    assert (image.owner, image.has_opted_in) == found


def test_a_redirect_is_not_followed():
    with FaultyServer(record()) as elsewhere:
        redirect = http("302 Found", Location=elsewhere.url)
        with FaultyServer(redirect) as server, pytest.raises(ImageServiceUnavailable, match="redirect"):
            images_at(server.url).show_to("secret-token", IMAGE)

    assert elsewhere.requests == []


def test_the_callers_token_is_sent_for_the_caller_and_no_other():
    with FaultyServer(record()) as server:
        images = images_at(server.url)
        images.show_to("token-of-alice", IMAGE)
        images.show_to(None, IMAGE)

    assert "X-Auth-Token: token-of-alice\r\n" in server.requests[0]
    assert "token" not in server.requests[1].lower()


@pytest.mark.parametrize("token", ["line\nbreak", "t\N{LATIN SMALL LETTER O WITH DIAERESIS}ken", "\x00"])
def test_a_token_that_cannot_be_one_is_refused_and_not_repeated(token):
    with FaultyServer(record()) as server, pytest.raises(ImageNotAuthorized) as raised:
        images_at(server.url).show_to(token, IMAGE)

    assert token not in str(raised.value)
    assert server.requests == []


def test_no_token_reaches_a_log_or_a_message(caplog):
    caplog.set_level(logging.DEBUG)

    with FaultyServer(http("500 Oops", b"secret-token")) as server, pytest.raises(ImageServiceUnavailable) as raised:
        images_at(server.url).show_to("secret-token", IMAGE)

    assert "secret-token" not in caplog.text + str(raised.value)


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    with FaultyServer(record()) as server, FaultyServer(http("502 Bad Gateway")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        images_at(server.url).show(IMAGE)

    assert proxy.requests == []


OTHER = parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")


def test_many_images_are_asked_for_in_lists_with_the_callers_token():
    images = [parse_image_id(f"{number:032x}") for number in range(81)]
    with FaultyServer(json_answer({"images": []})) as server:
        assert images_at(server.url).find_listed("token-of-alice", images) == {}

    asked = [request.split()[1] for request in server.requests]
    assert [path.count(",") + 1 for path in asked] == [40, 40, 1]
    assert asked[0].startswith(f"/v2/images?id=in:{images[0]},")
    assert asked[0].endswith("&limit=40")
    assert max(map(len, asked)) < 2000
    assert all("X-Auth-Token: token-of-alice\r\n" in request for request in server.requests)


@pytest.mark.parametrize("images", [[], [IMAGE]])
def test_one_image_is_not_worth_a_list(images):
    with FaultyServer(json_answer({"images": []})) as server:
        assert images_at(server.url).find_listed("token", images) == {}

    assert server.requests == []


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"images": None},
        {"images": [None, 7, {}, {"id": 1}, {"id": IMAGE}, {"id": "155d900f-0000-4000-8000-069cbf4541e6"}]},
    ],
)
def test_what_a_list_does_not_say_well_is_left_out(document):
    with FaultyServer(json_answer(document)) as server:
        assert images_at(server.url).find_listed("token", [IMAGE, OTHER]) == {}


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "302 Found", "500 Oops"])
def test_a_service_that_does_not_list_leaves_all_to_be_asked_for_singly(status):
    with FaultyServer(http(status)) as server:
        assert images_at(server.url).find_listed("token", [IMAGE, OTHER]) == {}


def test_a_service_that_does_not_answer_is_not_asked_again_for_each_image():
    with FaultyServer(http("200 OK")) as server:
        url = server.url
    with pytest.raises(ImageServiceUnavailable):
        images_at(url).find_listed("token", [IMAGE, OTHER])


def test_a_token_that_cannot_be_one_is_not_sent_for_a_list():
    with FaultyServer(json_answer({"images": []})) as server:
        assert images_at(server.url).find_listed("line\nbreak", [IMAGE, OTHER]) == {}

    assert server.requests == []


@pytest.mark.parametrize("suffix", ["", "/", "/v2", "/v2/"])
def test_the_endpoint_may_name_the_version_or_not(suffix):
    with FaultyServer(record()) as server:
        images_at(f"{server.url}/image{suffix}").show(IMAGE)

    assert server.requests[0].startswith(f"GET /image/v2/images/{IMAGE} HTTP/1.1\r\n")


class ServiceAccount(BaseAuthPlugin):
    """Credentials with a catalog, as Keystone would give them."""

    def __init__(self, catalog):
        super().__init__()
        self._catalog = catalog

    def get_token(self, session, **kwargs):
        return "service-token"

    def get_endpoint(self, session, *, service_type, **kwargs):
        return self._catalog.get(service_type)


def test_without_an_endpoint_the_catalog_says_where():
    with FaultyServer(record()) as server:
        session = open_session(auth=ServiceAccount({"image": f"{server.url}/v2/"}))
        GlanceImages(session=session).show(IMAGE)

    assert server.requests[0].startswith(f"GET /v2/images/{IMAGE} ")
    assert "X-Auth-Token: service-token\r\n" in server.requests[0]


def test_a_catalog_without_images_says_what_to_do():
    images = GlanceImages(session=open_session(auth=ServiceAccount({})))

    with pytest.raises(ImageServiceUnavailable, match=r"set \[glance\] endpoint_override"):
        images.show(IMAGE)


class TestNames:
    def test_a_name_with_an_operator_is_asked_for_as_it_is(self):
        with FaultyServer(json_answer({"images": []})) as server:
            assert images_at(server.url).find_named("token", "in:a b") == []

        (request,) = server.requests
        assert "name=eq%3Ain%3Aa+b&limit=20" in str(request)

    def test_of_a_list_only_well_formed_images_of_exactly_this_name_count(self):
        good = {"id": IMAGE, "status": "active", "name": "debian"}
        records = [None, 7, {"name": "debian"}, {**good, "id": "x"}, {**good, "name": "Debian"}, good]
        with FaultyServer(json_answer({"images": records})) as server:
            assert [image.id for image in images_at(server.url).find_named("token", "debian")] == [IMAGE]

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            ("400 Bad Request", ImageServiceUnavailable),
            ("401 Unauthorized", ImageNotAuthorized),
            ("403 Forbidden", ImageNotAuthorized),
            ("404 Not Found", ImageNotFound),
            ("302 Found", ImageServiceUnavailable),
            ("500 Oops", ImageServiceUnavailable),
        ],
    )
    def test_a_service_that_does_not_list_is_not_one_without_the_image(self, status, error):
        with FaultyServer(http(status)) as server, pytest.raises(error):
            images_at(server.url).find_named("token", "debian")

    def test_a_service_that_does_not_answer_is_unavailable(self):
        with FaultyServer(http("200 OK")) as server:
            url = server.url
        with pytest.raises(ImageServiceUnavailable):
            images_at(url).find_named("token", "debian")

    def test_a_token_that_cannot_be_one_is_not_sent(self):
        with FaultyServer(json_answer({"images": []})) as server, pytest.raises(ImageNotAuthorized):
            images_at(server.url).find_named("line\nbreak", "debian")

        assert server.requests == []

"""The list of all images from a server that goes wrong: a list that is not whole is an error or says so."""

import json

import pytest
from keystoneauth1.identity.base import BaseIdentityPlugin

from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.background.cancel_token import CancelToken
from precache.core.errors import ImageNotAuthorized, ImageServiceUnavailable, Stopped
from precache.core.image_list import ListedImage
from precache.core.images import parse_image_id
from precache.core.stopping import StopReason
from tests.unit.adapters.faulty_server import FaultyServer, http

FIRST, SECOND, THIRD = (parse_image_id(digit * 32) for digit in "123")


def page(*images, marker=None, **more):
    records = [{"id": image, "name": image[:1], "status": "active"} for image in images]
    following = {} if marker is None else {"next": f"/v2/images?limit=1&marker={marker}"}
    return http("200 OK", json.dumps({"images": records, **following, **more}).encode())


def images_at(server, **options):
    return GlanceImages(session=open_session(**options), endpoint=server.url)


def paths(server):
    return [request.split(" ")[1] for request in server.requests]


def test_all_pages_are_read_and_then_those_of_hidden_images():
    with FaultyServer(page(FIRST, marker=FIRST), page(SECOND), page(THIRD)) as server:
        listed = images_at(server).list_images()
        asked = paths(server)

    assert listed.images == {image: ListedImage(image[:1], "active") for image in (FIRST, SECOND, THIRD)}
    assert listed.is_whole
    assert [f"marker={FIRST}" in path for path in asked] == [False, True, False]
    assert ["os_hidden=true" in path for path in asked] == [False, False, True]
    assert all("visibility=all&member_status=all" in path for path in asked)


@pytest.mark.parametrize(
    "answer",
    [
        http("500 Internal Server Error"),
        http("404 Not Found"),
        http("200 OK", b"[]"),
        http("200 OK", b'{"images": {}}'),
        http("200 OK", b'{"images": [7]}'),
        http("200 OK", b'{"images": [', Content_Length="13"),
        http("200 OK", b'{"images": []}', Content_Length="100"),
        page(SECOND, marker=FIRST),
        page(SECOND, next="/v2/images"),
        page(SECOND, next=7),
        b"",
    ],
)
def test_a_later_page_that_is_none_makes_the_whole_list_fail(answer):
    with (
        FaultyServer(page(FIRST, marker=FIRST), answer) as server,
        pytest.raises(ImageServiceUnavailable),
    ):
        images_at(server).list_images()


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_service_that_refuses_the_list_is_named_with_what_to_do(status):
    with FaultyServer(http(status)) as server, pytest.raises(ImageNotAuthorized, match="policy get_images"):
        images_at(server).list_images()


def test_a_list_without_files_that_are_still_read_is_not_whole():
    with FaultyServer(page(FIRST, unread_files=1), page()) as server:
        assert not images_at(server).list_images().is_whole


def test_records_without_an_id_are_left_out_and_other_fields_may_be_missing():
    records = json.dumps({"images": [{"id": "x"}, {}, {"id": FIRST, "name": None, "status": 7}]}).encode()
    with FaultyServer(http("200 OK", records)) as server:
        listed = images_at(server).list_images()

    assert listed.images == {FIRST: ListedImage("", "")}


def test_a_stop_ends_the_list_before_the_next_page():
    stop = CancelToken()
    stop.cancel(StopReason.SHUTDOWN)

    with FaultyServer(page()) as server, pytest.raises(Stopped):
        images_at(server).list_images(stop=stop)


class Keystone(BaseIdentityPlugin):
    """A login whose token has these roles."""

    def __init__(self, *roles):
        super().__init__()
        self.role_names = roles

    def get_access(self, session, **options):
        return self

    def get_token(self, session):
        return "token"

    def get_auth_ref(self, session):
        raise NotImplementedError

    def get_cache_id_elements(self):
        return {}


@pytest.mark.parametrize(("roles", "is_whole"), [(("service", "admin"), True), (("member", "service"), False)])
def test_only_an_administrator_sees_every_image(roles, is_whole):
    with FaultyServer(page(FIRST), page()) as server:
        listed = images_at(server, auth=Keystone(*roles)).list_images()

    assert (set(listed.images), listed.is_whole) == ({FIRST}, is_whole)

"""The ports `ImageCatalog`, `ImageListing` and `ImageSource`, on every adapter."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from uuid import UUID

import pytest

from precache.core.errors import ImageNotFound, NoImageData, TransferInterrupted
from precache.core.image_list import ListedImage
from precache.core.images import Digest, parse_image_id
from tests.contract.image_services import CONTENT, EXTERNAL_SERVICES, SERVICES, UNKNOWN


@pytest.fixture(
    params=[*SERVICES, *(pytest.param(name, marks=pytest.mark.external) for name in EXTERNAL_SERVICES)],
    scope="module",
)
def served(request, tmp_path_factory):
    """Return a service, one for all tests: they only read."""
    service = (SERVICES | EXTERNAL_SERVICES)[request.param]
    with service(request, tmp_path_factory.mktemp("images")) as opened:
        yield opened


def read_all(stream, block=256 * 1024):
    buffer, parts = memoryview(bytearray(block)), []
    while count := stream.readinto(buffer):
        parts.append(bytes(buffer[:count]))
    return b"".join(parts)


class TestCatalog:
    def test_an_active_image_is_shown_with_size_format_and_digest(self, served):
        image = served.images.show_to(served.caller_token, served.active)

        assert (image.id, image.name, image.disk_format) == (served.active, "debian", "raw")
        assert image.is_active
        assert image.size_bytes == len(CONTENT)
        assert image.digest == Digest("sha512", hashlib.sha512(CONTENT).hexdigest())

    def test_an_image_without_data_yet_is_shown_with_its_status(self, served):
        image = served.images.show_to(served.caller_token, served.queued)

        assert (image.status, image.is_active, image.size_bytes, image.digest) == ("queued", False, None, None)

    def test_an_unknown_image_is_not_found(self, served):
        with pytest.raises(ImageNotFound) as raised:
            served.images.show_to(served.caller_token, UNKNOWN)

        assert raised.value.image == UNKNOWN

    def test_a_list_shows_images_as_they_are_and_leaves_out_what_it_has_not(self, served):
        wanted = [served.queued, UNKNOWN, served.active]

        listed = served.images.find_listed(served.caller_token, wanted)

        assert listed == {image: served.images.show_to(served.caller_token, image) for image in (wanted[0], wanted[2])}

    def test_a_list_of_more_images_than_fit_a_request_shows_those_that_are_there(self, served):
        strangers = [parse_image_id(str(UUID(int=number, version=4))) for number in range(95)]

        listed = served.images.find_listed(served.caller_token, [served.active, *strangers, served.queued])

        assert listed.keys() == {served.active, served.queued}

    def test_an_image_is_found_by_its_whole_name(self, served):
        found = served.images.find_named(served.caller_token, "debian")

        assert found == [served.images.show_to(served.caller_token, served.active)]

    @pytest.mark.parametrize(
        "name", ["Debian", "debia", "nothing", "in:debian", "a:b", "a,b&c=d", '"', "\N{SNOWMAN}", "*"]
    )
    def test_a_name_that_no_image_has_finds_none(self, served, name):
        assert served.images.find_named(served.caller_token, name) == []


class TestListing:
    def test_the_whole_list_has_names_and_states_of_all_images(self, served):
        listed = served.images.list_images()

        assert listed.images[served.active] == ListedImage("debian", "active")
        assert listed.images[served.queued] == ListedImage("later", "queued")
        assert UNKNOWN not in listed.images
        assert listed.is_whole


class TestSourceRecords:
    def test_the_services_own_credentials_show_what_the_callers_do(self, served):
        assert served.images.show(served.active) == served.images.show_to(served.caller_token, served.active)

    def test_an_unknown_image_is_not_found(self, served):
        with pytest.raises(ImageNotFound):
            served.images.show(UNKNOWN)


class TestSourceData:
    def test_a_stream_gives_all_bytes_and_then_zero_for_ever(self, served):
        with closing(served.images.open(served.active)) as stream:
            data = read_all(stream)
            after_the_end = [stream.readinto(memoryview(bytearray(10))) for _ in range(2)]

        assert data == CONTENT
        assert after_the_end == [0, 0]

    def test_the_announced_length_is_that_of_the_image(self, served):
        with closing(served.images.open(served.active)) as stream:
            assert stream.remaining_bytes == len(CONTENT)

    @pytest.mark.parametrize("offset", [1, 65_536, len(CONTENT) - 1])
    def test_a_stream_from_an_offset_gives_the_rest(self, served, offset):
        with closing(served.images.open(served.active, offset)) as stream:
            announced, data = stream.remaining_bytes, read_all(stream)

        assert announced == len(CONTENT) - offset
        assert data == CONTENT[offset:]

    @pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 70_000), (65_536, 65_536), (len(CONTENT) - 7, 7)])
    def test_a_range_has_these_bytes_and_ends(self, served, first, count):
        for _request in range(2):  # the second one on the connection of the first
            with closing(served.images.open_range(served.active, first, count)) as stream:
                assert stream.remaining_bytes == count
                assert read_all(stream) == CONTENT[first : first + count]

    def test_a_range_may_be_closed_before_its_end(self, served):
        with closing(served.images.open_range(served.active, 0, len(CONTENT))) as stream:
            stream.readinto(memoryview(bytearray(10)))

        with closing(served.images.open_range(served.active, 5, 10)) as stream:
            assert read_all(stream) == CONTENT[5:15]

    def test_a_range_of_an_unknown_image_is_not_found(self, served):
        with pytest.raises(ImageNotFound):
            served.images.open_range(UNKNOWN, 0, 1)

    def test_the_digests_of_pieces_are_what_the_image_with_them_has(self, served):
        image = replace(served.images.show(served.queued), pieces=served.active)

        assert served.images.read_pieces(image, len(CONTENT)) == CONTENT
        assert served.images.read_pieces(image, 100_000) == CONTENT[:100_001]

    @pytest.mark.parametrize("place", ["", "debian", "/v2/images", f"/v2/images/{UNKNOWN}/pieces", UNKNOWN])
    def test_digests_at_no_place_are_not_found(self, served, place):
        image = replace(served.images.show(served.active), pieces=place)

        with pytest.raises(ImageNotFound):
            served.images.read_pieces(image, 100)

    def test_a_read_writes_no_further_than_the_number_it_gives(self, served):
        buffer = bytearray(b"\xee" * 100)

        with closing(served.images.open(served.active)) as stream:
            count = stream.readinto(memoryview(buffer)[:10])

        assert 0 < count <= 10
        assert buffer[:count] == CONTENT[:count]
        assert buffer[10:] == b"\xee" * 90

    def test_an_image_without_data_has_none_to_open(self, served):
        with pytest.raises(NoImageData):
            served.images.open(served.queued)

    def test_an_unknown_image_cannot_be_opened(self, served):
        with pytest.raises(ImageNotFound):
            served.images.open(UNKNOWN)

    def test_reading_after_close_says_how_far_it_got(self, served):
        stream = served.images.open(served.active)
        count = stream.readinto(memoryview(bytearray(10)))
        stream.close()

        with pytest.raises(TransferInterrupted) as raised:
            stream.readinto(memoryview(bytearray(10)))

        assert (raised.value.received_bytes, raised.value.expected_bytes) == (count, len(CONTENT))

    def test_closing_twice_is_harmless(self, served):
        stream = served.images.open(served.active)

        stream.close()
        stream.close()

    def test_streams_of_one_image_do_not_disturb_each_other(self, served):
        def read_from(offset):
            with closing(served.images.open(served.active, offset)) as stream:
                return read_all(stream)

        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(read_from, [0, 1, 1_000_000, 0]))

        assert parts == [CONTENT, CONTENT[1:], CONTENT[1_000_000:], CONTENT]

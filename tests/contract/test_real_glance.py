"""A real Glance: who sees which image, the states of images, and resumed downloads."""

from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from precache.adapters.cache_inventory_memory import MemoryCacheInventory
from precache.adapters.clock_memory import MemoryClock
from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.adapters.notices_memory import MemoryDuties
from precache.background.cancel_token import CancelToken
from precache.conductor.check_images import CheckImages
from precache.conductor.held_duty import HeldDuty
from precache.core.cache_entries import CachedEntry, CacheReport, entry_name
from precache.core.errors import ImageNotAuthorized, ImageNotFound, NoImageData
from precache.core.hosts import Host
from precache.core.images import parse_image_id
from tests.contract.test_image_service import read_all

pytestmark = pytest.mark.external

CONTENT = bytes(range(256)) * 40


@dataclass(frozen=True)
class Shown:
    """Glance, the users, and Precache's client with the service user's credentials."""

    cloud: Any
    images: GlanceImages

    def upload(self, content=CONTENT, **attributes):
        """Make an image of the stranger's project."""
        return parse_image_id(self.cloud.glance.upload_image(content, owner=self.cloud.stranger, **attributes))

    def publish(self, **attributes):
        """Make a public image, which only an administrator may."""
        return parse_image_id(self.cloud.glance.upload_image(CONTENT, visibility="public", **attributes))

    def to(self, user, image):
        return self.images.show_to(self.cloud.keystone.token(user), image)


def images_of(cloud, user):
    return GlanceImages(session=open_session(auth=cloud.keystone.session(user).auth))


@pytest.fixture(scope="module")
def shown(cloud):
    return Shown(cloud, images_of(cloud, cloud.precache))


class TestWhoSeesIt:
    def test_a_private_image_is_shown_to_its_project_and_to_administrators(self, shown):
        image = shown.upload(visibility="private")

        assert shown.to(shown.cloud.stranger, image).is_active
        assert shown.to(shown.cloud.admin, image).is_active
        with pytest.raises(ImageNotFound):
            shown.to(shown.cloud.member, image)

    @pytest.mark.parametrize("answer", ["pending", "accepted", "rejected"])
    def test_a_shared_image_is_shown_to_its_members_whatever_they_answered(self, shown, answer):
        image = shown.upload(visibility="shared")
        shown.cloud.glance.share(image, shown.cloud.member, status=answer)

        assert shown.to(shown.cloud.member, image).is_active

    def test_a_shared_image_is_not_shown_to_others(self, shown):
        image = shown.upload(visibility="shared")

        with pytest.raises(ImageNotFound):
            shown.to(shown.cloud.member, image)

    @pytest.mark.parametrize("hidden", [False, True])
    def test_a_community_image_is_shown_to_every_caller_by_its_id(self, shown, hidden):
        image = shown.upload(visibility="community", os_hidden=hidden)

        assert shown.to(shown.cloud.reader, image).is_active

    def test_a_list_never_shows_what_the_caller_may_not_see_and_leaves_out_what_is_hidden(self, shown):
        private, public = shown.upload(visibility="private"), shown.publish()
        hidden = shown.publish(os_hidden=True)
        community = shown.upload(visibility="community")
        pending = shown.upload(visibility="shared")
        shown.cloud.glance.share(pending, shown.cloud.member, status="pending")
        images = [private, public, hidden, community, pending]

        def listed(user):
            return shown.images.find_listed(shown.cloud.keystone.token(user), images)

        assert listed(shown.cloud.member).keys() == {public}
        assert all(shown.to(shown.cloud.member, image).is_active for image in (hidden, community, pending))
        assert listed(shown.cloud.stranger).keys() >= {private, public}
        assert listed(shown.cloud.stranger)[private] == shown.to(shown.cloud.stranger, private)

    def test_a_token_that_is_not_sound_lists_nothing(self, shown):
        images = [shown.publish(), shown.publish()]

        assert shown.images.find_listed("not-a-token", images) == {}

    @pytest.mark.parametrize("token", [None, "not-a-token"])
    def test_a_caller_without_a_sound_token_is_not_authorized(self, shown, token):
        image = shown.upload(visibility="community")

        with pytest.raises(ImageNotAuthorized):
            shown.images.show_to(token, image)

    def test_a_token_that_was_revoked_shows_nothing(self, shown):
        image = shown.upload(visibility="community")
        token = shown.cloud.keystone.token(shown.cloud.member)
        shown.cloud.keystone.revoke(token)

        with pytest.raises(ImageNotAuthorized):
            shown.images.show_to(token, image)


class TestTheServicesOwnCredentials:
    @pytest.mark.parametrize(
        "attributes",
        [{"visibility": "private"}, {"visibility": "shared"}, {"visibility": "community", "os_hidden": True}],
        ids=str,
    )
    def test_an_administrator_reads_images_of_all_projects(self, shown, attributes):
        image = shown.upload(**attributes)

        with closing(shown.images.open(image)) as stream:
            data = read_all(stream)

        assert shown.images.show(image).size_bytes == len(CONTENT)
        assert data == CONTENT

    def test_a_member_reads_public_and_community_images_and_those_shared_with_its_project(self, shown):
        account = shown.cloud.keystone.add_user("precache-member", roles=("member",))
        images = images_of(shown.cloud, account)
        community, shared, private = (
            shown.upload(visibility=visibility) for visibility in ("community", "shared", "private")
        )
        shown.cloud.glance.share(shared, account, status="pending")

        for image in (community, shared):
            with closing(images.open(image)) as stream:
                assert read_all(stream) == CONTENT
        with pytest.raises(ImageNotFound, match=r"user in \[service_user\] may not see it"):
            images.open(private)

    def test_a_reader_sees_the_record_and_is_told_why_it_gets_no_data(self, shown):
        images = images_of(shown.cloud, shown.cloud.reader)
        image = shown.upload(visibility="community")

        assert images.show(image).is_active
        with pytest.raises(ImageNotAuthorized, match="download_image"):
            images.open(image)


class TestTheListOfAllImages:
    def test_an_administrator_lists_images_of_all_projects_and_kinds_page_by_page(self, shown):
        images = [
            shown.upload(visibility="private"),
            shown.upload(visibility="private", os_hidden=True),
            shown.upload(visibility="community"),
            shown.upload(visibility="shared"),
            shown.publish(os_hidden=True),
        ]
        deactivated, deleted = shown.upload(), shown.upload()
        shown.cloud.glance.deactivate(deactivated)
        shown.cloud.glance.delete(deleted)

        session = open_session(auth=shown.cloud.keystone.session(shown.cloud.precache).auth)
        listed = GlanceImages(session=session, images_per_page=2).list_images()

        assert {listed.images[image].status for image in images} == {"active"}
        assert listed.images[deactivated].status == "deactivated"
        assert deleted not in listed.images
        assert listed.is_whole

    def test_the_list_of_one_who_is_no_administrator_is_not_whole(self, shown):
        private, public = shown.upload(visibility="private"), shown.publish()

        listed = images_of(shown.cloud, shown.cloud.member).list_images()

        assert public in listed.images
        assert private not in listed.images
        assert not listed.is_whole


class TestCachedImages:
    def test_a_conductor_finds_out_what_became_of_cached_images(self, shown):
        images = {
            "active": shown.upload(visibility="private", name="kept"),
            "deactivated": shown.upload(visibility="community", os_hidden=True),
            "gone": shown.upload(visibility="private"),
        }
        clock = MemoryClock()
        caches = MemoryCacheInventory(clock=clock, find_host=lambda name: Host(name, "cell1"))
        entries = tuple(CachedEntry(entry=entry_name(image)) for image in images.values())
        report = CacheReport(
            host="cmp-1", cell="cell1", boot_id="b", sequence=1, base=1, at=clock.now(), space=None, entries=entries
        )
        caches.store_reports([report])
        duty = HeldDuty(duties=MemoryDuties(now=clock.now), name="images", owner="me", lease=timedelta(hours=1))
        check = CheckImages(duty=duty, statuses=caches, images=shown.images, stop=CancelToken(), interval=timedelta())

        check()
        shown.cloud.glance.deactivate(images["deactivated"])
        shown.cloud.glance.delete(images["gone"])
        check()

        found = {each.status: each for each in caches.list_images()}
        assert {status: each.image for status, each in found.items()} == images
        assert found["active"].name == "kept"


class TestOptIn:
    def test_a_record_has_its_project_and_its_properties(self, shown):
        marked, plain = shown.upload(visibility="community", precache="True"), shown.upload(visibility="community")

        found = [shown.to(shown.cloud.member, image) for image in (marked, plain)]

        assert [image.has_opted_in for image in found] == [True, False]
        assert {image.owner for image in found} == {shown.cloud.stranger.project_id}


class TestStates:
    def test_a_queued_image_has_no_data(self, shown):
        image = shown.upload(None)

        assert shown.images.show(image).status == "queued"
        with pytest.raises(NoImageData):
            shown.images.open(image)

    def test_a_deactivated_image_is_shown_as_such(self, shown):
        image = shown.upload(visibility="community")
        shown.cloud.glance.deactivate(image)

        record = shown.to(shown.cloud.member, image)

        assert (record.status, record.is_active) == ("deactivated", False)
        assert record == shown.images.show(image)

    def test_the_data_of_a_deactivated_image_is_denied_to_those_who_are_no_administrators(self, shown):
        image = shown.upload(visibility="community")
        shown.cloud.glance.deactivate(image)

        with pytest.raises(ImageNotAuthorized):
            images_of(shown.cloud, shown.cloud.member).open(image)

    def test_a_deleted_image_is_not_found(self, shown):
        image = shown.upload()
        shown.cloud.glance.delete(image)

        for ask in (shown.images.show, shown.images.open):
            with pytest.raises(ImageNotFound):
                ask(image)

    def test_an_image_that_is_deleted_between_two_requests_is_not_found_at_a_resume(self, shown):
        image = shown.upload()
        with closing(shown.images.open(image)) as stream:
            count = stream.readinto(memoryview(bytearray(100)))
        shown.cloud.glance.delete(image)

        with pytest.raises(ImageNotFound):
            shown.images.open(image, count)

    def test_an_empty_image_is_active_and_has_no_data(self, shown):
        image = shown.upload(b"")

        with pytest.raises(NoImageData):
            shown.images.open(image)


class TestResuming:
    def test_a_resume_asks_for_the_rest_and_gets_it(self, shown):
        image = shown.upload()

        with closing(shown.images.open(image, 1000)) as stream:
            announced, data = stream.remaining_bytes, read_all(stream)

        assert (announced, data) == (len(CONTENT) - 1000, CONTENT[1000:])
        assert shown.cloud.glance.requests()[-1].range == "bytes=1000-"

    def test_each_opening_is_one_request_for_data(self, shown):
        image = shown.upload()

        for offset in (0, 5):
            shown.images.open(image, offset).close()

        assert shown.cloud.glance.data_requests(image) == 2

"""Failures of Keystone and Glance: expired tokens, wrong accounts, servers that are down or silent."""

import logging
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from keystoneauth1.identity.v3 import Password

from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.adapters.images_wrapped import Failover
from precache.core.errors import ImageNotAuthorized, ImageServiceUnavailable, ServiceTokenUnavailable
from precache.core.images import parse_image_id
from tests.contract.image_services import UNUSED_ENDPOINT
from tests.contract.test_image_service import read_all
from tests.lab.keystone import PASSWORD

pytestmark = pytest.mark.external

CONTENT = bytes(range(256)) * 40
SOON = timedelta(seconds=1)  # the limit only matters for a server that is silent for ever


@pytest.fixture(scope="module")
def image(cloud):
    return parse_image_id(cloud.glance.upload_image(CONTENT))


def session_of(cloud, user, **options):
    return open_session(auth=cloud.keystone.session(user).auth, **options)


class TestTokensThatEnd:
    def test_a_revoked_token_is_replaced_at_the_next_record(self, cloud, image):
        session = session_of(cloud, cloud.precache)
        images = GlanceImages(session=session)
        images.show(image)
        cloud.keystone.revoke(session.get_token())

        assert images.show(image).id == image

    def test_a_revoked_token_is_replaced_at_a_resume(self, cloud, image):
        session = session_of(cloud, cloud.precache)
        images = GlanceImages(session=session)
        with closing(images.open(image)) as stream:
            begun = memoryview(bytearray(1000))
            count = stream.readinto(begun)
        cloud.keystone.revoke(session.get_token())

        with closing(images.open(image, count)) as stream:
            rest = read_all(stream)

        assert bytes(begun[:count]) + rest == CONTENT

    def test_what_glance_refuses_even_with_a_new_token_is_refused(self, cloud, image):
        account = cloud.keystone.add_user("precache-leaving", roles=("admin",))
        images = GlanceImages(session=session_of(cloud, account))
        images.show(image)
        cloud.keystone.withdraw(account, "admin")

        # Without its last role in the project the account gets no other token.
        with pytest.raises(ImageNotAuthorized, match="has a role in the project"):
            images.open(image)


class TestWrongAccounts:
    def test_a_wrong_password_is_reported_without_repeating_it(self, cloud, image, caplog):
        caplog.set_level(logging.DEBUG)
        wrong = replace(cloud.precache, password=f"{PASSWORD}-not-this-one")

        with pytest.raises(ImageNotAuthorized, match=r"Keystone refuses the credentials in \[service_user\]") as raised:
            GlanceImages(session=session_of(cloud, wrong), endpoint=cloud.glance.url).show(image)

        assert PASSWORD not in str(raised.value) + caplog.text

    def test_a_user_without_a_role_in_the_project_is_told_so(self, cloud, image):
        account = cloud.keystone.add_user("precache-without-role")

        with pytest.raises(ImageNotAuthorized, match="role in the project"):
            GlanceImages(session=session_of(cloud, account), endpoint=cloud.glance.url).show(image)

    def test_no_token_and_no_password_reaches_a_log(self, cloud, image, caplog):
        caplog.set_level(logging.DEBUG)
        session = session_of(cloud, cloud.precache)
        images, token = GlanceImages(session=session), cloud.keystone.token(cloud.admin)
        caplog.clear()

        images.show_to(token, image)
        with closing(images.open(image)) as stream:
            read_all(stream)
        cloud.keystone.revoke(ours := session.get_token())
        images.show(image)

        for secret in (token, ours, session.get_token(), PASSWORD):
            assert secret not in caplog.text


class TestKeystoneAway:
    def test_a_keystone_that_is_stopped_is_distinguished_from_a_glance_that_is(self, cloud, image):
        images = GlanceImages(session=session_of(cloud, cloud.precache), endpoint=cloud.glance.url)
        cloud.keystone.stop()
        try:
            with pytest.raises(ServiceTokenUnavailable, match=r"Keystone gives no token .*: Connection refused"):
                images.show(image)
        finally:
            cloud.keystone.start()

        assert images.show(image).id == image

    def test_a_silent_keystone_times_out(self, cloud, image):
        images = GlanceImages(
            session=session_of(cloud, cloud.precache, timeout=SOON),
            endpoint=cloud.glance.url,
        )

        with (
            cloud.keystone.paused(),
            pytest.raises(ServiceTokenUnavailable, match=r"Keystone gives no token .* does not answer in time"),
        ):
            images.open(image)

    def test_a_token_that_glance_cannot_check_at_present_is_worth_another_try(self, cloud, image):
        images = GlanceImages(session=session_of(cloud, cloud.precache), endpoint=cloud.glance.url)
        images.show(image)
        cloud.keystone.stop()
        try:
            # Glance answers 401 while its Keystone is down, as if the token were wrong.
            with pytest.raises(ServiceTokenUnavailable):
                images.open(image)
        finally:
            cloud.keystone.start()

        assert images.show(image).id == image


class TestGlanceAway:
    def test_a_stopped_glance_refuses_and_is_found_again(self, cloud, image):
        images = GlanceImages(session=session_of(cloud, cloud.precache))
        cloud.glance.stop()
        try:
            with pytest.raises(ImageServiceUnavailable, match=f"{cloud.glance.url} failed: Connection refused"):
                images.open(image)
        finally:
            cloud.glance.start()

        assert images.show(image).id == image

    def test_the_next_endpoint_is_asked_and_a_resume_goes_there(self, cloud, image):
        session = session_of(cloud, cloud.precache)
        images = Failover(
            [GlanceImages(session=session, endpoint=url) for url in (UNUSED_ENDPOINT, f"{cloud.glance.url}/v2")]
        )

        assert images.show_to(cloud.keystone.token(cloud.admin), image) == images.show(image)
        with closing(images.open(image, 100)) as stream:
            assert read_all(stream) == CONTENT[100:]


def test_a_catalogue_without_images_says_what_to_do(cloud, image):
    cloud.keystone.remove_endpoint("image")
    try:
        with pytest.raises(ImageServiceUnavailable, match=r"set \[glance\] endpoint_override"):
            GlanceImages(session=session_of(cloud, cloud.precache)).show(image)
    finally:
        cloud.keystone.set_endpoint("image", cloud.glance.url, name="glance")


def test_an_account_of_version_3_alone_will_do(cloud, image):
    user = cloud.precache
    auth = Password(
        auth_url=cloud.keystone.auth_url,
        user_id=user.id,
        password=user.password,
        project_id=user.project_id,
    )

    assert GlanceImages(session=open_session(auth=auth)).show(image).id == image

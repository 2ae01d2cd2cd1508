"""What the services are asked with, and how long they may take."""

import socket
from datetime import timedelta

import pytest

from precache.adapters.http import open_session
from precache.config.load import load_config
from precache.core.errors import ImageServiceUnavailable
from precache.core.images import ImageId
from precache.wiring.service_user import image_service_of

IMAGE = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")


@pytest.mark.timeout(20)  # the configured times are longer
def test_an_image_service_that_says_nothing_is_waited_for_no_longer_than_the_caller_says(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = tmp_path / "precache.conf"
        file.write_text(f"[glance]\nendpoint_override = http://127.0.0.1:{silent.getsockname()[1]}\n")
        images = image_service_of(load_config([file]), open_session(), record_timeout=timedelta(seconds=0.2))

        with pytest.raises(ImageServiceUnavailable, match="does not answer in time"):
            images.show_to(None, IMAGE)

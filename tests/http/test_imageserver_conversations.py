"""Every file in `gabbits_imageserver/` is one conversation with the embedded image service under `/image`."""

from pathlib import Path

import pytest

from tests.http import imageserver_fixtures
from tests.http.conversing import converse

DIRECTORY = Path(__file__).with_name("gabbits_imageserver")


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.yaml")), ids=lambda path: path.stem)
def test_conversation_goes_as_written(path):
    converse(path, "images.example", 9292, imageserver_fixtures)

"""A directory of images and a library over it that waits for nobody."""

import contextlib
from datetime import timedelta

import pytest

from precache.imageserver import ImageLibrary


@pytest.fixture
def images_dir(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    return path


@pytest.fixture
def index_path(tmp_path):
    return tmp_path / "index.json"


@pytest.fixture
def open_library(images_dir, index_path):
    """Return a function that opens a library; without other options new files count as settled at once."""
    with contextlib.ExitStack() as stack:

        def open_one(**options):
            options = {"settle": timedelta(), **options}
            library = ImageLibrary(images_dir=images_dir, index_path=index_path, **options)
            return stack.enter_context(contextlib.closing(library))

        yield open_one

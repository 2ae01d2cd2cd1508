"""The library that the conversations in `gabbits_imageserver/` speak with. Its ids are known beforehand, for they
follow from names and contents."""

import tempfile
from datetime import timedelta
from pathlib import Path

from cheroot.wsgi import PathInfoDispatcher
from gabbi.fixture import GabbiFixture

from precache.imageserver import ImageLibrary, create_image_app

FILES = {
    "debian.raw": b"0123456789" * 10,
    "empty.raw": b"",
    "later.qcow2": b"not uploaded yet",
    "locked.raw": b"nobody may read this",
    "secret.iso": b"hidden",
}
OVERRIDES = {
    "later.qcow2": {"status": "queued"},
    "locked.raw": {"status": "deactivated"},
    "secret.iso": {"os_hidden": True, "tags": ["old"]},
}


class Current:
    """The application of the conversation that runs now; one at a time in each process."""

    app = None


def current_app():
    return lambda environ, start_response: Current.app(environ, start_response)


class Library(GabbiFixture):
    """A fresh library and fresh counts."""

    def start_fixture(self):
        self._place = tempfile.TemporaryDirectory()
        images_dir = Path(self._place.name, "images")
        images_dir.mkdir()
        for name, content in FILES.items():
            (images_dir / name).write_bytes(content)
        self._library = ImageLibrary(
            images_dir=images_dir,
            index_path=Path(self._place.name, "index.json"),
            overrides=OVERRIDES,
            settle=timedelta(),
        )
        Current.app = PathInfoDispatcher({"/image": create_image_app(library=self._library)})

    def stop_fixture(self):
        self._library.close()
        self._place.cleanup()

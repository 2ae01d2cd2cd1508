"""The image services that the suites of `ImageCatalog` and `ImageSource` run on, each with the same images.

To add a service, add a context manager that yields a `Served`. Its arguments are pytest's request, for the fixtures of
real servers, and an empty directory.
"""

import contextlib
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.adapters.images_memory import MemoryImages
from precache.adapters.images_wrapped import Failover, Limited, Retrying
from precache.core.images import Digest, Image, ImageId, parse_image_id
from precache.imageserver import ImageLibrary, create_image_app
from tests.listening import listening

CONTENT = random.Random(2).randbytes(3 * 1024 * 1024 + 7)  # several reads, and not a multiple of the block size
UNUSED_ENDPOINT = "http://127.0.0.1:1"  # a port that only root may open, and that is not in use
UNKNOWN = parse_image_id("ffffffff-0000-4000-8000-00000000dead")


@dataclass(frozen=True)
class Served:
    """images: the adapter under test, both ports. active: its record must come with CONTENT's hash."""

    images: Any
    active: ImageId
    queued: ImageId
    caller_token: str | None = None


@contextlib.contextmanager
def memory(request, tmp_path):
    digest = Digest.parse("sha512", hashlib.sha512(CONTENT).hexdigest())
    active = Image(parse_image_id("1" * 32), "debian", "active", "raw", len(CONTENT), len(CONTENT), digest)
    queued = Image(parse_image_id("2" * 32), "later", "queued", "raw", None)
    images = {active.id: (active, CONTENT), queued.id: (queued, b"")}
    yield Served(MemoryImages(images=images), active.id, queued.id)


@contextlib.contextmanager
def embedded(request, tmp_path):
    images_dir = tmp_path / "images"
    images_dir.mkdir()
    (images_dir / "debian.raw").write_bytes(CONTENT)
    (images_dir / "later.raw").write_bytes(b"not yet")
    library = ImageLibrary(
        images_dir=images_dir,
        index_path=tmp_path / "images.json",
        overrides={"later.raw": {"status": "queued"}},
        settle=timedelta(),
    )
    ids = {image.file_name: image.id for image in library.images()}
    with contextlib.closing(library), listening(create_image_app(library=library)) as url:
        images = GlanceImages(session=open_session(), endpoint=url)
        yield Served(images, ids["debian.raw"], ids["later.raw"], caller_token="a-token")


@contextlib.contextmanager
def real(request, tmp_path):
    cloud = request.getfixturevalue("cloud")
    active = cloud.glance.upload_image(CONTENT, name="debian", visibility="public")
    queued = cloud.glance.upload_image(None, name="later", visibility="public")
    session = open_session(auth=cloud.keystone.session(cloud.precache).auth)
    try:
        yield Served(
            GlanceImages(session=session),
            parse_image_id(active),
            parse_image_id(queued),
            caller_token=cloud.keystone.token(cloud.reader),
        )
    finally:
        cloud.glance.delete(active)
        cloud.glance.delete(queued)


@contextlib.contextmanager
def wrapped(request, tmp_path):
    """A service with all wrappers."""
    with embedded(request, tmp_path) as served:
        failover = Failover([GlanceImages(session=open_session(), endpoint=UNUSED_ENDPOINT), served.images])
        source = Retrying(Limited(failover, connections=4), clock=MemoryClock())
        yield replace(served, images=_Both(catalog=failover, source=source))


class _Both:
    """A catalog and a source in one object, as the suite uses them."""

    def __init__(self, *, catalog, source):
        self.show_to, self.find_listed, self.find_named = catalog.show_to, catalog.find_listed, catalog.find_named
        self.list_images = catalog.list_images
        self.show, self.open = source.show, source.open
        self.open_range, self.read_pieces = source.open_range, source.read_pieces


SERVICES: dict[str, Callable[..., Any]] = {
    "memory": memory,
    "glance-embedded": embedded,
    "glance-embedded-wrapped": wrapped,
}
EXTERNAL_SERVICES: dict[str, Callable[..., Any]] = {"glance-real": real}

"""The image services that the suites of `ImageCatalog` and `ImageSource` run on, each with the same images.

Another service joins by a context manager here that gives a `Served`.
"""

import contextlib
import hashlib
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from precache.adapters.images_glance import GlanceImages, open_session
from precache.adapters.images_memory import MemoryImages
from precache.core.images import Digest, Image, ImageId, parse_image_id
from precache.imageserver import ImageLibrary, create_image_app
from tests.listening import listening

CONTENT = random.Random(2).randbytes(3 * 1024 * 1024 + 7)  # several reads, and no round number
UNKNOWN = parse_image_id("ffffffff-0000-4000-8000-00000000dead")


@dataclass(frozen=True)
class Served:
    """images: the adapter under test, both ports. active: its record must come with CONTENT's hash."""

    images: Any
    active: ImageId
    queued: ImageId
    caller_token: str | None = None


@contextlib.contextmanager
def memory(tmp_path):
    digest = Digest.parse("sha512", hashlib.sha512(CONTENT).hexdigest())
    active = Image(parse_image_id("1" * 32), "debian", "active", "raw", len(CONTENT), len(CONTENT), digest)
    queued = Image(parse_image_id("2" * 32), "later", "queued", "raw", None)
    images = {active.id: (active, CONTENT), queued.id: (queued, b"")}
    yield Served(MemoryImages(images=images), active.id, queued.id)


@contextlib.contextmanager
def embedded(tmp_path):
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


SERVICES = {"memory": memory, "glance-embedded": embedded}

"""One service for all tests of a module, where each of them brings images of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.system.conftest import complaints
from tools.local_service import LocalService


@contextmanager
def serving(root: Path, *, hosts: str, environment: Mapping[str, str]) -> Iterator[LocalService]:
    """Run a service with its state and its images below `root`; it must end well, and have shown no traceback."""
    images = root / "images"
    images.mkdir()
    service = LocalService(state=root / "state", images=images, hosts=hosts)
    service.start(environment)
    try:
        yield service
    finally:
        code = service.stop()
    assert not complaints([service.log]), service.log
    assert code == 0

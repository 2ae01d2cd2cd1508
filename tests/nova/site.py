"""The objects that the tests beside Nova use, and the messages while they are built."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lab.cloud import Cloud
from tests.lab.image_gate import ImageGate
from tests.lab.nova_compute import NovaCompute
from tests.lab.precache import Deployment
from tests.nova.instances import NovaUser
from tests.nova.precache_user import PrecacheUser


@dataclass(frozen=True, slots=True)
class Site:
    """What the tests act on. nova, precache: an administrator at each of the two APIs. aggregate: of cmp1 alone."""

    cloud: Cloud
    gate: ImageGate
    compute: NovaCompute
    deployment: Deployment
    nova: NovaUser
    precache: PrecacheUser
    aggregate: int


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    print(f"  {what} ... ", end="", flush=True)
    start = time.monotonic()
    yield
    print(f"{time.monotonic() - start:.1f} s", flush=True)

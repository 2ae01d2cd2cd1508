"""How much memory a transfer takes: the same for a small image and a large one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.system.conftest import MIB
from tests.system.operating import aggregate, ended, entry, request
from tests.system.played_glance import PlayedGlance
from tests.system.serving import serving

pytestmark = pytest.mark.system

IMAGE_MIB = 1024
LIMIT_MIB = 100
"""What a host may take on top for one image, of whatever size; some 40 were measured."""


def memory_mib(pid: int, field: str) -> int:
    """Return VmRSS, what the process has now, or VmHWM, the most it has ever had."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) // 1024


def test_a_large_image_takes_little_memory_and_no_room_for_its_holes(tmp_path):
    data = [b"data" * (MIB // 4), *[bytes(MIB)] * (IMAGE_MIB - 1)]
    with PlayedGlance() as glance:
        image = glance.add(data)
        with serving(
            tmp_path, hosts="cell1:cmp-1", environment={"OS_GLANCE__ENDPOINT_OVERRIDE": glance.url}
        ) as service:
            number = aggregate(service, "cmp-1")
            before = memory_mib(service.pid, "VmRSS")

            assert ended(service, request(service, number, image.id)) == "succeeded"

            assert memory_mib(service.pid, "VmHWM") - before < LIMIT_MIB
            cached = entry(service, "cmp-1", image.id).stat()
            assert cached.st_size == IMAGE_MIB * MIB
            assert cached.st_blocks * 512 < 2 * MIB

"""The table of formats against Nova's own `cache_image`: what both take is the same, byte for byte."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.disk_images.making import Workshop
from tests.disk_images.table import CASES
from tests.unit.fetch.world import World

pytestmark = [pytest.mark.external, pytest.mark.nova]

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_every_accepted_image_has_the_same_entry_as_with_nova(tmp_path: Path) -> None:
    given, directory = tmp_path / "given", tmp_path / "workshop"
    given.mkdir()
    directory.mkdir()
    made = {f"image{number}": (case, bytes(case.make(Workshop(directory)))) for number, case in enumerate(CASES)}
    for name, (case, content) in made.items():
        (given / f"{name}.{case.disk_format}").write_bytes(content)
    command = [ROOT / "var/nova/venv/bin/python", ROOT / "tests/nova/caching_by_nova.py", given]

    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)

    said = json.loads(answer.stdout.splitlines()[-1])
    wrong = []
    for name, (case, content) in made.items():
        entry = given / "instances" / "_base" / hashlib.sha1(name.encode()).hexdigest()
        if case.disk_format == "vhd":
            # Nova compares Glance's name of the format with qemu's, which is vpc: it takes no VHD at all.
            is_wrong = said[name] is None
        elif case.refusal is None:
            ours = World(tmp_path / name).fetch(content, case.disk_format).read_bytes()
            is_wrong = said[name] is not None or entry.read_bytes() != ours
        else:
            is_wrong = (said[name] is None) != case.nova_boots
        if is_wrong and content:
            wrong.append((case.name, said[name]))
    assert wrong == []

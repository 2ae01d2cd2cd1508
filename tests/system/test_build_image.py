"""The disk image that the demo and the system tests use. That it boots is shown in test_precaching.py."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tools.boot_disk import DidNotBoot, boot
from tools.build_image import kept_image

pytestmark = pytest.mark.system


def test_image_is_a_qcow2_of_the_size_asked_for() -> None:
    shown = subprocess.run(["qemu-img", "info", "--output=json", kept_image()], capture_output=True, check=True)
    info = json.loads(shown.stdout)

    assert (info["format"], info["virtual-size"]) == ("qcow2", 64 << 20)


def test_kept_image_is_built_once() -> None:
    first = kept_image()
    changed_at = first.stat().st_mtime_ns

    second = kept_image()

    assert (second, second.stat().st_mtime_ns) == (first, changed_at)


def test_disk_that_does_not_boot_is_reported_with_the_end_of_its_console(tmp_path: Path) -> None:
    empty = tmp_path / "empty.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(empty), "1M"], check=True)

    with pytest.raises(DidNotBoot, match="did not appear on the console in time"):
        boot(empty, timeout_s=1)


def test_disk_that_is_not_there_is_reported_with_the_reason_of_qemu(tmp_path: Path) -> None:
    with pytest.raises(DidNotBoot, match="No such file"):
        boot(tmp_path / "missing.qcow2")

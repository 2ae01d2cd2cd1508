"""Images that break a rule: refused in words, some before any tool sees them. And the good ones of each format."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system import bad_images as bad
from tests.system.conftest import qemu_img, random_raw, settled
from tests.system.operating import aggregate, ended, entry, request, tasks
from tests.system.serving import serving
from tools.local_service import LocalService

pytestmark = pytest.mark.system

SECRET = b"nobody may read this" * 1000
UNSAFE = r"Image does not pass safety check \(.+\)$"
MISMATCH = "Image content does not match disk_format$"


@dataclass
class Bench:
    """A service with one host, the directory of its images, whose log has every qemu-img that it starts."""

    service: LocalService
    root: Path
    number: int

    @property
    def secret(self) -> Path:
        return self.root / "secret"

    def qemu_img_runs(self) -> list[str]:
        return [line for line in self.service.whole_log.splitlines() if "Running qemu-img" in line]

    def offer(self, name: str, make: Callable[[Path, Path], object]) -> str:
        """Put a file among the images, and return the id that it is served under."""
        file = self.root / "made" / name
        make(file, self.secret)
        settled(file).rename(self.root / "images" / name)
        (image,) = self.service.get(f"/image/v2/images?name={file.stem}")["images"]
        return str(image["id"])

    def files_of(self, image: str) -> list[Path]:
        """Return whatever there is of the image on the host: entry, download, conversion."""
        return list(self.service.state.rglob(f"_base/{entry(self.service, 'cmp-1', image).name}*"))

    def cache(self, image: str) -> tuple[str, str]:
        """Have the image cached; give outcome and reason."""
        task = self.task_for(image)
        return task["outcome"], task["reason"]

    def task_for(self, image: str) -> dict[str, Any]:
        """Have the image cached; return the task."""
        job = request(self.service, self.number, image)
        ended(self.service, job)
        return tasks(self.service, job)["cmp-1"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("bad-images")
    (root / "made").mkdir()
    (root / "secret").write_bytes(SECRET)
    with serving(root, hosts="cell1:cmp-1", environment={"OS_DEFAULT__DEBUG": "true"}) as service:
        yield Bench(service, root, aggregate(service, "cmp-1"))


# What no tool may open: the file's name, how it is made, and the reason.
REFUSED_UNOPENED = {
    "backing file": ("backed.qcow2", bad.with_backing_file, UNSAFE),
    "external data file": ("data.qcow2", bad.with_data_file, UNSAFE),
    "flat VMDK": ("flat.vmdk", bad.flat_vmdk, UNSAFE),
    "split VMDK": ("split.vmdk", bad.split_vmdk, UNSAFE),
    "VMDK of two minds": ("minds.vmdk", bad.sparse_vmdk_that_says_it_is_flat, UNSAFE),
    "VMDK with a second extent": ("second.vmdk", bad.sparse_vmdk_with_a_second_extent, UNSAFE),
    "raw as qcow2": ("was-raw.qcow2", bad.raw_disk, MISMATCH),
    "raw as vdi": ("was-raw-too.vdi", bad.raw_disk, MISMATCH),
    "qcow2 as raw": ("was-qcow2.raw", bad.qcow2_disk, MISMATCH),
    "qcow2 with backing file as raw": ("was-backed.raw", bad.with_backing_file, UNSAFE),
    "qcow2 as iso": ("was-qcow2-too.iso", bad.qcow2_disk, MISMATCH),
    "hybrid ISO as raw": ("was-iso.raw", bad.hybrid_iso, MISMATCH),
    "qcow2 that is an ISO as iso": ("iso-and-qcow2.iso", bad.qcow2_and_iso, MISMATCH),
    "qcow2 that is an ISO as qcow2": ("qcow2-and-iso.qcow2", bad.qcow2_and_iso, MISMATCH),
    "qcow2 that is an ISO as raw": ("two-things.raw", bad.qcow2_and_iso, MISMATCH),
    "empty": ("empty.raw", bad.empty, "has no associated data$"),
    "empty qcow2": ("empty-too.qcow2", bad.empty, "has no associated data$"),
}


@pytest.mark.parametrize("case", REFUSED_UNOPENED)
def test_image_that_breaks_a_rule_is_refused_before_any_tool_opens_it(bench, case):
    name, make, reason = REFUSED_UNOPENED[case]
    image = bench.offer(name, make)
    runs = bench.qemu_img_runs()

    outcome, said = bench.cache(image)

    assert outcome == "error"
    assert re.search(reason, said)
    assert image in said
    assert bench.qemu_img_runs() == runs
    assert bench.files_of(image) == []
    assert bench.secret.read_bytes() == SECRET


# What turns out to be broken when it is opened.
BROKEN = {
    "truncated": ("truncated.qcow2", bad.truncated_qcow2, r"truncated: .* its end at 2097152 bytes; upload the whole"),
    "broken first table": ("l1.qcow2", bad.qcow2_with_broken_l1_table, "could not be converted: qemu-img: "),
    "broken second table": ("l2.qcow2", bad.qcow2_with_broken_l2_table, "could not be converted: qemu-img: "),
    "huge first table": ("huge-l1.qcow2", bad.qcow2_with_huge_l1_table, "qemu-img: .*too|it is truncated"),
    "huge refcount table": ("refcount.qcow2", bad.qcow2_with_huge_refcount_table, "qemu-img: .*too large"),
    "disk of an exbibyte": (
        "huge.qcow2",
        bad.qcow2_of_an_exbibyte,
        r"a disk of 1152921504606846976 bytes, which is more than a file may have|needs 1024.0 PiB",
    ),
    "truncated VHD": ("truncated-too.vhd", bad.truncated_vhd, r"truncated: .* its end at \d+ bytes"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_image_is_an_error_with_a_reason_and_leaves_nothing(bench, case):
    name, make, reason = BROKEN[case]
    image = bench.offer(name, make)

    outcome, said = bench.cache(image)

    assert outcome == "error"
    assert re.search(reason, said)
    assert image in said
    assert bench.files_of(image) == []


# What a host takes: the file's name, what qemu-img calls its format, and what decodes it.
GOOD = {
    "qcow2": ("good.qcow2", "qcow2", (), "stream"),
    "compressed qcow2": ("compressed.qcow2", "qcow2", ("-c",), "stream"),
    "old qcow2": ("old.qcow2", "qcow2", ("-o", "compat=0.10"), "stream"),
    "qcow2 with metadata for all of it": ("metadata.qcow2", "qcow2", ("-o", "preallocation=metadata"), "stream"),
    "VMDK monolithicSparse": ("sparse.vmdk", "vmdk", ("-o", "subformat=monolithicSparse"), "qemu-img"),
    "VMDK streamOptimized": ("stream.vmdk", "vmdk", ("-o", "subformat=streamOptimized"), "stream"),
    "VHD": ("azure.vhd", "vpc", ("-o", "force_size=on"), "qemu-img"),
    "VHDX": ("hyperv.vhdx", "vhdx", (), "qemu-img"),
    "VDI": ("box.vdi", "vdi", (), "qemu-img"),
}


@pytest.mark.parametrize("case", GOOD)
def test_image_of_each_format_becomes_a_raw_entry(bench, case):
    name, qemu_format, options, decoder = GOOD[case]

    def make(path: Path, secret: Path) -> None:
        raw = random_raw(path.with_suffix(".tmp"), 3, hole_mib=3)
        qemu_img("convert", "-f", "raw", "-O", qemu_format, *options, raw, path)

    image = bench.offer(name, make)
    runs = bench.qemu_img_runs()

    task = bench.task_for(image)

    assert (task["outcome"], task["reason"], task["decoded_by"].partition(" ")[0]) == ("cached", "", decoder)
    # So that what is not in this log was not run.
    assert (len(bench.qemu_img_runs()) > len(runs)) == (decoder == "qemu-img")
    cached = entry(bench.service, "cmp-1", image)
    compared = ["qemu-img", "compare", "-f", "raw", "-F", qemu_format, cached, bench.root / "images" / name]
    subprocess.run(compared, check=True, capture_output=True)
    assert sorted(bench.files_of(image)) == [cached, cached.with_name(f"{cached.name}.precache")]


@pytest.mark.parametrize(
    ("name", "make"), [("boot.iso", bad.iso), ("hybrid.iso", bad.hybrid_iso), ("disk.raw", bad.raw_disk)]
)
def test_image_that_is_raw_to_a_guest_is_kept_unchanged(bench, name, make):
    image = bench.offer(name, make)

    assert bench.cache(image) == ("cached", "")

    assert entry(bench.service, "cmp-1", image).read_bytes() == (bench.root / "images" / name).read_bytes()

"""What a domain's XML says of its files, and what a libvirt that cannot be asked means."""

from __future__ import annotations

from pathlib import Path

import pytest

from precache.core.errors import DomainsUnknown
from precache.ports.domain_disks import DiskFile
from precache.virt.libvirt_domains import LibvirtDomains, files_of_domain

DOMAIN = """
<domain type='kvm'><name>web1</name>
  <os><type>hvm</type><kernel>/_base/kernel</kernel></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {disks}
  </devices>
</domain>
"""


def files(disks: str, **volumes: str) -> set[tuple[str, str | None]]:
    found = files_of_domain(DOMAIN.format(disks=disks), {name.replace("_", "/"): at for name, at in volumes.items()})
    return {(str(file.path), file.disk_format) for file in found}


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (
            "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/g/a.qcow2'/></disk>",
            {("/g/a.qcow2", "qcow2")},
        ),
        (
            "<disk type='block' device='lun'><driver type='raw'/><source dev='/dev/vg/a'/></disk>",
            {("/dev/vg/a", "raw")},
        ),
        ("<disk type='file'><source file='/g/a'/></disk>", {("/g/a", None)}),
        (
            "<disk type='volume'><driver type='qcow2'/><source pool='p' volume='v'/></disk>",
            {("/pool/v", "qcow2")},
        ),
        ("<disk type='network'><driver type='raw'/><source protocol='rbd' name='p/i'/></disk>", set()),
        (
            "<disk type='file'><driver type='qcow2'/><source file='/g/top'/>"
            "<backingStore type='file'><format type='qcow2'/><source file='/g/mid'/>"
            "<backingStore type='file'><format type='raw'/><source file='/_base/x'/><backingStore/></backingStore>"
            "</backingStore><mirror type='file'><format type='qcow2'/><source file='/g/copy'/></mirror></disk>",
            {("/g/top", "qcow2"), ("/g/mid", "qcow2"), ("/_base/x", "raw"), ("/g/copy", "qcow2")},
        ),
    ],
)
def test_every_kind_of_disk_gives_its_files_with_their_formats(
    disk: str, expected: set[tuple[str, str | None]]
) -> None:
    assert expected <= files(disk, p_v="/pool/v")


def test_a_medium_and_a_kernel_are_in_use_but_are_not_looked_into() -> None:
    found = files("<disk type='file' device='cdrom'><driver type='qcow2'/><source file='/_base/iso'/></disk>")

    assert {("/_base/iso", "raw"), ("/_base/kernel", "raw")} <= found
    assert ("/_base/iso", "qcow2") not in found


def test_a_snapshot_gives_the_files_of_the_disks_before_it() -> None:
    xml = (
        "<domainsnapshot>"
        "<disks><disk name='vda' type='file'><driver type='qcow2'/><source file='/g/new'/></disk></disks>"
        f"{DOMAIN.format(disks='')}"
        "<inactiveDomain><devices><disk type='file'><driver type='qcow2'/><source file='/g/old'/></disk></devices>"
        "</inactiveDomain></domainsnapshot>"
    )

    found = set(files_of_domain(xml, {}))

    assert {DiskFile(Path("/g/new"), "qcow2"), DiskFile(Path("/g/old"), "qcow2")} <= found


def test_a_libvirt_that_is_here_and_cannot_be_asked_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    domains = LibvirtDomains(uri=f"qemu+unix:///system?socket={tmp_path}/none", places=[tmp_path])

    with pytest.raises(DomainsUnknown, match=r"pip install 'precache\[libvirt\]'|start libvirtd"):
        domains.files()


def test_a_host_without_libvirt_is_no_error(tmp_path: Path) -> None:
    found = LibvirtDomains(places=[tmp_path / "none"]).files()

    assert found is None or isinstance(found, list)  # a list where the machine that runs this has libvirt

"""The port `DomainDisks` on a real libvirtd with guests that are defined and not running."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.cleaner import Cleaner
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.disks.in_use import InstanceDisks
from precache.ports.domain_disks import DiskFile
from precache.rules.eviction import Cleaning
from precache.rules.expiry import ExpiryLimits
from precache.virt.libvirt_domains import LibvirtDomains
from tests.lab.libvirtd import LibvirtHost

HAS_LIBVIRT = (
    os.geteuid() == 0
    and shutil.which("libvirtd", path=os.environ["PATH"] + ":/usr/sbin") is not None
    and importlib.util.find_spec("libvirt") is not None
)
pytestmark = [
    pytest.mark.external,
    pytest.mark.skipif(not HAS_LIBVIRT, reason="needs root, libvirtd and precache[libvirt], as `make test-nova` does"),
]

ENTRY, OTHER = "a" * 40, "b" * 40

DEFINE = """
import sys, libvirt
connection = libvirt.open(sys.argv[1])
connection.defineXML(sys.argv[2])
"""

DOMAIN = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='{disk_format}'/><source file='{disk}'/>
<target dev='vda' bus='virtio'/></disk></devices></domain>
"""


@pytest.fixture(scope="module")
def libvirt() -> Iterator[LibvirtHost]:
    with TemporaryDirectory(prefix="lv") as directory:
        host = LibvirtHost(name="cmp-1", directory=Path(directory))
        try:
            host.start()
            yield host
        finally:
            host.stop()


def define(libvirt: LibvirtHost, name: str, disk: Path, disk_format: str) -> None:
    xml = DOMAIN.format(name=name, disk=disk, disk_format=disk_format)
    subprocess.run([sys.executable, "-c", DEFINE, libvirt.uri, xml], check=True, timeout=60)


def test_the_base_of_a_domain_that_does_not_run_stays_wherever_its_disk_is(
    libvirt: LibvirtHost, tmp_path: Path
) -> None:
    clock = MemoryClock()
    cache = ImageCache(directory=tmp_path / "host" / "_base", locks_directory=tmp_path / "host" / "locks", clock=clock)
    cache.start()
    for entry in (ENTRY, OTHER):
        subprocess.run(["qemu-img", "create", "-q", "-f", "raw", cache.directory / entry, "1M"], check=True)
        os.utime(cache.directory / entry, (1, 1))
    disk = tmp_path / "web1.img"
    backing = ["-b", cache.directory / ENTRY, "-F", "raw"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, disk], check=True)
    raw = tmp_path / "raw.img"
    raw.write_bytes(b"QFI\xfb\0\0\0\2" + b"\xff" * 600)  # the data of its guest
    define(libvirt, "web1", disk, "qcow2")
    define(libvirt, "raw1", raw, "raw")
    domains = LibvirtDomains(uri=libvirt.uri)
    day = timedelta(days=1)
    disks = InstanceDisks(instances_path=tmp_path / "host", cache_directory=cache.directory, domains=domains)
    cleaner = Cleaner(
        cache=cache,
        removal=EntryRemoval(cache=cache, disks=disks, clock=clock),
        clock=clock,
        cleaning=Cleaning(ExpiryLimits(day, day)),
    )

    found = domains.files()
    removed = [*cleaner.clean(), *cleaner.clean()]

    assert found is not None
    assert {DiskFile(disk, "qcow2"), DiskFile(raw, "raw")} <= set(found)
    assert removed == [OTHER]

"""The port `DomainDisks` on libvirt: the files of all defined guests, running or not.

libvirt-python is optional: `pip install precache[libvirt]`. If a host has libvirt and it does not answer, that is an
error, because its guests' disks could be anywhere. A host without libvirt has no domains.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from precache.core.errors import DomainsUnknown
from precache.ports.domain_disks import DiskFile
from precache.virt import libvirt_query

DEFAULT_LIBVIRT_URI = "qemu:///system"

LIBVIRT_PLACES = (
    Path("/etc/libvirt/qemu"),
    Path("/run/libvirt/libvirt-sock"),
    Path("/run/libvirt/virtqemud-sock"),
    Path("/var/lib/libvirt/qemu"),
)
"""Paths of libvirt's qemu driver: its domains and its sockets. A host with one of them has libvirt."""

_LONGEST_ANSWER_S = 60
_RAW = "raw"

_INSTALL = (
    "install the extra of this package that can ask it (pip install 'precache[libvirt]', or Debian's "
    "python3-libvirt where this package runs under Debian's Python)"
)
_START = (
    "start libvirtd (or virtqemud), let the user of this process connect to it, or correct [libvirt] connection_uri"
)


class LibvirtDomains:
    """The domains of the libvirt at `uri`. places: paths whose existence shows that this host has libvirt."""

    def __init__(self, *, uri: str = DEFAULT_LIBVIRT_URI, places: Sequence[Path] = LIBVIRT_PLACES) -> None:
        self._uri = uri
        self._places = places

    def files(self) -> Sequence[DiskFile] | None:
        answer = self._ask()
        if answer is None:
            return None
        volumes: Mapping[str, str] = answer["volumes"]
        return list(dict.fromkeys(file for xml in answer["domains"] for file in files_of_domain(xml, volumes)))

    def _ask(self) -> Any:
        command = [sys.executable, "-P", "-m", libvirt_query.__name__, self._uri]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_ANSWER_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise DomainsUnknown(f"libvirt at {self._uri} did not answer in {_LONGEST_ANSWER_S} s", _START) from error
        if done.returncode == 0:
            return json.loads(done.stdout)
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        if done.returncode in (libvirt_query.NO_LIBRARY, libvirt_query.NO_ANSWER) and not self._is_here():
            return None
        if done.returncode == libvirt_query.NO_LIBRARY:
            raise DomainsUnknown(f"this host has libvirt, but Python's libvirt module is missing ({reason})", _INSTALL)
        raise DomainsUnknown(f"libvirt at {self._uri} cannot be asked: {reason}", _START)

    def _is_here(self) -> bool:
        """Return whether this host has libvirt, or another libvirt than the default is configured."""
        return self._uri != DEFAULT_LIBVIRT_URI or any(place.exists() for place in self._places)


def files_of_domain(xml: str, volumes: Mapping[str, str]) -> Iterator[DiskFile]:
    """Return the files that a domain's XML names: its disks with their formats, backing files, and everything else.

    volumes: paths of pool volumes, by `<pool>/<volume>`.
    """
    root = ElementTree.fromstring(xml)  # noqa: S314  libvirtd wrote it
    for disk in root.iter("disk"):
        yield from _files_of_disk(disk, volumes)
    # A kernel, the medium of a drive: they may be files of the cache, but have no backing files.
    for element in root.iter():
        for text in (element.text or "", *element.attrib.values()):
            if text.strip().startswith("/"):
                yield DiskFile(Path(text.strip()), _RAW)


def _files_of_disk(disk: Element, volumes: Mapping[str, str]) -> Iterator[DiskFile]:
    driver = disk.find("driver")
    if disk.get("device", "disk") in ("disk", "lun"):
        yield from _source(disk.find("source"), None if driver is None else driver.get("type"), volumes)
    for layer in (*disk.iter("backingStore"), *disk.iter("mirror")):
        layer_format = layer.find("format")
        yield from _source(layer.find("source"), None if layer_format is None else layer_format.get("type"), volumes)


def _source(source: Element | None, disk_format: str | None, volumes: Mapping[str, str]) -> Iterator[DiskFile]:
    if source is None:
        return
    volume = volumes.get(f"{source.get('pool')}/{source.get('volume')}")
    path = source.get("file") or source.get("dev") or volume
    if path:
        yield DiskFile(Path(path), disk_format)

"""Reads libvirt in a separate process: `python -m precache.virt.libvirt_query URI`. See `libvirt_domains`.

libvirt's calls have no timeout, so the caller kills this process if it takes too long. It prints a JSON object:
`domains`, the XML of every domain in each of its definitions, and `volumes`, the paths of pool volumes that they use.
After a failure the exit code is NO_LIBRARY or NO_ANSWER, with the reason on standard error. It only reads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

NO_LIBRARY, NO_ANSWER = 3, 4


def main(uri: str) -> int:
    try:
        import libvirt
    except ImportError as error:
        print(error, file=sys.stderr)  # noqa: T201  to the process that asked
        return NO_LIBRARY
    libvirt.registerErrorHandler(lambda *_: None, None)  # it prints every error otherwise
    try:
        connection = libvirt.openReadOnly(uri)
        domains = [xml for domain in connection.listAllDomains() for xml in _definitions(libvirt, domain)]
        volumes = {f"{pool}/{volume}": _path(connection, pool, volume) for pool, volume in _volumes(domains)}
    except libvirt.libvirtError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return NO_ANSWER
    json.dump({"domains": domains, "volumes": volumes}, sys.stdout)
    return 0


def _definitions(libvirt: Any, domain: Any) -> Iterator[str]:
    """Return the domain's XML: running, persistent, saved, and of each snapshot."""
    try:
        yield domain.XMLDesc()
        if domain.isPersistent():
            yield domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        if domain.hasManagedSaveImage():
            yield domain.managedSaveGetXMLDesc()
        for snapshot in domain.listAllSnapshots():
            yield snapshot.getXMLDesc()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:  # undefined meanwhile
            raise


def _volumes(domains: list[str]) -> set[tuple[str, str]]:
    """Return the paths of the storage volumes of disks, by the names of pool and volume."""
    return {
        (source.get("pool", ""), source.get("volume", ""))
        for xml in domains
        for source in ElementTree.fromstring(xml).iter("source")  # noqa: S314  libvirtd wrote it
        if source.get("pool") and source.get("volume")
    }


def _path(connection: Any, pool: str, volume: str) -> str:
    path: str = connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).path()
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""What the cleaner needs from the hypervisor: the files of every guest that is defined on this host, running or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A file of a disk.

    disk_format: qemu's name of its format; None if only its own content says it. A guest can make the content of a raw
    disk look like any other format.
    """

    path: Path
    disk_format: str | None = None


class DomainDisks(Protocol):
    """The files of all domains of this host."""

    def files(self) -> Sequence[DiskFile] | None:
        """Return the files of all defined domains, backing files included as far as known; None without a hypervisor.

        May be called often, from one thread at a time; returns or raises within a minute.
        Raises DomainsUnknown if there is a hypervisor that does not answer completely.
        """
        ...

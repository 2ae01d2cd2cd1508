"""The configuration's own files: they hold passwords."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from precache.config.unknown_options import UnknownOption
from precache.doctor.findings import Finding, failed, ok, skipped, warning


def look_at_files(files: Sequence[Path]) -> Iterator[Finding]:
    """See that not every user of the machine can read them. They have been read already, so they are there."""
    if not files:
        yield skipped("there is no configuration file; the defaults hold")
    for file in files:
        if file.stat().st_mode & stat.S_IROTH:
            yield warning(f"every user of this machine can read {file}, which holds passwords", f"chmod o= {file}")
        else:
            yield ok(f"{file} was read")


def look_at_unknown(entries: Sequence[UnknownOption]) -> Iterator[Finding]:
    """Report each entry that no option has. The processes refuse to start with one whose name is nearly right."""
    for entry in entries:
        yield (failed if entry.is_misspelt else warning)(entry.found, entry.advice)

"""Detects, by files that it writes, whether a nova-compute uses a directory of instances."""

from __future__ import annotations

from pathlib import Path

# Written only by nova-compute: the hosts that share the directory, the lock of that file, and the id of the host, which
# is in Nova's state_path, by default the directory above.
_TRACES = ("compute_nodes", "locks/nova-storage-registry-lock", "compute_id", "../compute_id")


def trace_of_nova(instances_path: Path) -> Path | None:
    """Return a file that only nova-compute writes, in or above the directory; None if there is none. Raises OSError."""
    found = (instances_path.absolute() / trace for trace in _TRACES)
    return next((path for path in found if path.exists()), None)

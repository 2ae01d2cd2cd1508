"""The port by which a fetch announces which part of its result is final while the rest is still being made.

The result is the file that the cache will keep: the download itself, or what it is converted to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class FinalParts(Protocol):
    """Observes one fetch. Its methods are called by threads of the fetch, one at a time, and return at once.

    A final part is not verified yet: the digest and the signature of the image cover all of it, and are checked at the
    end. If the fetch fails, nothing of what was announced counts.
    """

    def began(self, path: Path, size_bytes: int) -> None:
        """Note that the file at `path`, which exists, is being made, and that it will have this size in the end.

        If the size is unknown until the end of the download, this is called then.
        """
        ...

    def is_final_up_to(self, end: int) -> None:
        """Note that the bytes before `end` are in the file, and will not change.

        They can be read, but are perhaps not on the disk yet. `end` never becomes smaller. When it is the size of the
        file, the file is complete and has exactly that size; before, it may be longer.
        """
        ...

    def restarted(self) -> None:
        """Note that the data was damaged and is fetched again: all that was announced is void.

        The file is removed next. `began` follows for a new one, perhaps at the same path.
        """
        ...

"""One pass over an image's data: transfer and conversion run in parallel, and are watched until both have ended."""

from __future__ import annotations

from precache.background.task_group import TaskGroup
from precache.core.images import Image
from precache.core.jobs import Phase
from precache.fetch.conversion import Conversion
from precache.fetch.transfer import Transfer
from precache.imagecache.qemu_img import QemuImg
from precache.ports.progress import Watcher

POLL_SECONDS = 0.1
"""How often the watcher is called, and therefore how soon it can stop everything, even while no data arrives."""


class Attempt:
    """One attempt: it starts and ends the transfer and the conversion. `run` may be called once."""

    def __init__(
        self, *, image: Image, transfer: Transfer, conversion: Conversion, qemu_img: QemuImg, group: TaskGroup
    ) -> None:
        self._image = image
        self._transfer, self._conversion, self._qemu_img = transfer, conversion, qemu_img
        self._group = group

    def run(self, watch: Watcher) -> None:
        """Return when the image is downloaded, verified and converted; raise the first failure of any part.

        In both cases every thread and process of the attempt has ended when this returns.
        """
        self._report(watch)
        try:
            self._transfer.start(self._group)
            self._group.start("converter", self._conversion.run)
            while not self._group.wait(POLL_SECONDS):
                self._report(watch)
        finally:
            self._transfer.stop()
            self._qemu_img.stop()
            self._group.join()

    def _report(self, watch: Watcher) -> None:
        arriving = self._transfer.arriving
        phase = Phase.CONVERTING if arriving.is_complete else Phase.DOWNLOADING
        watch(phase, arriving.arrived_bytes, self._image.size_bytes or 0)

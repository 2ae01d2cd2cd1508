"""Attempts one after another until one is sound: after damaged data, or if qemu-img must read the image after all."""

from __future__ import annotations

import logging
from dataclasses import replace

from precache.core.errors import (
    ConversionFailed,
    DigestMismatch,
    ImageTooLong,
    SignatureRefused,
    UnsafeImage,
    UnusableImage,
)
from precache.fetch.attempt import Attempt, remove_files
from precache.fetch.attempt_runner import AttemptRunner
from precache.fetch.decoding.placements import NotStreamable
from precache.fetch.kept_decoding import ResumedDecoding

_log = logging.getLogger(__name__)

_DAMAGED = (DigestMismatch, ImageTooLong)
ABOUT_THE_DATA = (*_DAMAGED, UnsafeImage, UnusableImage, ConversionFailed, SignatureRefused)
"""Errors about the data. If a part of it was kept from an earlier fetch, that part may be damaged."""


def run_until_sound(runner: AttemptRunner, attempt: Attempt, *, refetches: int) -> str:
    """Return what has decoded the image, after as many attempts as its data needs. Raises as `AttemptRunner.run`.

    refetches: how often data with a wrong digest is fetched again. What qemu-img is to read after all is fetched again
        in any case, which counts as one of these.
    """
    remaining, resumed = refetches, attempt.resumed
    while True:
        try:
            return runner.run(attempt)
        except NotStreamable as error:
            # qemu-img has the last word, whatever `refetches` is. The data may be damaged, and this fetches it again.
            reason = error.reason
            if not attempt.kept_bytes:
                remaining = max(0, remaining - 1)
            attempt = replace(attempt.from_start(), why_qemu_img=reason)
            _log.warning(
                "Image %s cannot be decoded while it arrives: %s; fetching it again for qemu-img",
                attempt.record.id,
                reason,
            )
            _begin_again(attempt, resumed)
            attempt.space.admit_download()
        except ABOUT_THE_DATA as error:
            if attempt.kept_bytes and attempt.staging.kept:
                # Its file may have been damaged since then. This is no attempt: the service was not asked for it.
                attempt.staging.kept.remove(attempt.staging.entry)
                attempt = attempt.from_start()
            elif attempt.delta is not None:
                attempt = replace(attempt, delta=None)  # the digests of the pieces may be wrong
            elif isinstance(error, _DAMAGED) and remaining:
                remaining -= 1
            else:
                raise
            _log.warning("%s; fetching it again from the start", error)
            _begin_again(attempt, resumed)
            attempt.space.admit()


def _begin_again(attempt: Attempt, resumed: ResumedDecoding | None) -> None:
    """Remove what an attempt has made, before the next one. resumed: what the first one may have gone on with."""
    if resumed is not None:
        resumed.is_used = True
    if attempt.final_parts is not None:
        attempt.final_parts.restarted()
    remove_files(attempt.download, attempt.target, attempt.side)

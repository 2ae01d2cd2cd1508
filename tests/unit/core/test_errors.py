"""Which errors may pass, so that a job with retries tries the task again."""

from __future__ import annotations

import pytest

from precache.core import errors

MAY_PASS = {
    errors.ImageServiceUnavailable: True,
    errors.ServiceTokenUnavailable: True,
    errors.KeyManagerUnavailable: True,
    errors.TransferInterrupted: True,
    errors.TransferTooSlow: True,
    errors.DeadlinePassed: True,
    errors.ComputeUnreachable: True,
    errors.BusUnavailable: True,
    errors.Stopped: True,
    errors.NotEnoughSpace: True,
    errors.ImageNotPinned: True,
    errors.KeepingUnsupported: False,
    errors.DatabaseDamaged: False,
    errors.ComputeOutdated: False,
    errors.ImageNotAuthorized: False,
    errors.ImageNotActive: False,
    errors.ImageNotFound: False,
    errors.ImageFormatUnsupported: False,
    errors.SignatureRefused: False,
    errors.UnsafeImage: False,
    errors.UnusableImage: False,
    errors.ConversionFailed: False,
    errors.CacheUnusable: False,
    errors.DigestMismatch: False,
    errors.ImageTooLong: False,
    errors.NoImageData: False,
    errors.CachingUnsupported: False,
}


@pytest.mark.parametrize("error", MAY_PASS, ids=lambda error: error.__name__)
def test_only_what_can_change_by_itself_may_pass(error):
    assert error.may_pass is MAY_PASS[error]

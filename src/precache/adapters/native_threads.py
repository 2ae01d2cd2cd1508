"""Native threads for the OpenStack libraries. What is here must run before the first of them is imported."""

from __future__ import annotations

import sys
from contextlib import suppress


def use_native_threads() -> None:
    """Have oslo.service and oslo.messaging use threads, and keep eventlet out of this process; harmless to repeat.

    Several oslo libraries import eventlet wherever it is installed, and oslo.service even chooses it by default. It may
    go from here on the day when oslo.utils and oslo.messaging no longer look for it.
    """
    # An entry of None makes `import eventlet` fail as if it were not installed, which all of them allow for.
    sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]
    from oslo_service import backend
    from oslo_service.backend.exceptions import BackendAlreadySelected

    # A foreign server that loads us as a WSGI application may have chosen before; then we are guests.
    with suppress(BackendAlreadySelected):
        backend.init_backend(backend.BackendType.THREADING)

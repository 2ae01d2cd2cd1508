"""Native threads for the OpenStack libraries. Call it before the first of them is imported."""

from __future__ import annotations

import sys
from contextlib import suppress


def use_native_threads() -> None:
    """Make oslo.service and oslo.messaging use threads, and keep eventlet out of this process; harmless to repeat.

    Several oslo libraries import eventlet if it is installed, and oslo.service chooses it by default. This function may
    go when oslo.utils and oslo.messaging no longer look for eventlet.
    """
    # With None, `import eventlet` fails as if it were not installed, which all of them handle.
    sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]
    from oslo_service import backend
    from oslo_service.backend.exceptions import BackendAlreadySelected

    # A WSGI server that loads the API may have chosen a backend before; its choice stays.
    with suppress(BackendAlreadySelected):
        backend.init_backend(backend.BackendType.THREADING)

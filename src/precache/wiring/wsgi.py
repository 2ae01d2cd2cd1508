"""`precache.wiring.wsgi:application`: the API for a WSGI server such as uWSGI, gunicorn or mod_wsgi.

Servers take the application from this module, so it alone does its work when it is imported. `wsgi_application.py` says
how it is configured.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_end_the_process() -> Iterator[None]:
    """Have SIGINT end the process without a traceback while the application is imported and built.

    With `lazy-apps` and `need-app`, uWSGI interrupts all other workers as soon as one cannot start. Where the server
    has a handler of its own, or loads applications in other threads, nothing is changed.
    """
    is_pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_pythons or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


with interrupts_end_the_process():
    # Imported here because most of a start is imports.
    from precache.wiring.wsgi_application import load_application

    application = load_application()

"""`precache.wiring.wsgi:application`: the API for a WSGI server such as uWSGI, gunicorn or mod_wsgi.

Servers import the application from this module, so only this module does its work at import. `wsgi_application.py`
describes the configuration.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_end_the_process() -> Iterator[None]:
    """Let SIGINT end the process without a traceback while the application is imported and built.

    With `lazy-apps` and `need-app`, uWSGI interrupts all other workers as soon as one cannot start. If the server has
    its own handler, or loads applications in other threads, this changes nothing.
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
    # Imported here, because imports take most of the time of a start.
    from precache.wiring.wsgi_application import load_application

    application = load_application()

"""A WSGI application behind a real socket on loopback, for as long as a test needs it."""

import contextlib
import threading

from cheroot import wsgi


@contextlib.contextmanager
def listening(app, *, prefix="/image", threads=4):
    """Return the URL under which the application answers. threads: requests that it serves at the same time."""
    server = wsgi.Server(
        ("127.0.0.1", 0), wsgi.PathInfoDispatcher({prefix: app}), numthreads=threads, shutdown_timeout=1
    )
    server.error_log = lambda *args, **kwargs: None
    server.expiration_interval = 0.02  # how often it looks whether it should stop
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}{prefix}"
    finally:
        server.stop()
        thread.join(10)

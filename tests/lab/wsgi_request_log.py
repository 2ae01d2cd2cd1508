"""A WSGI application that notes each request before it passes it on; runs in the service's environment, under uWSGI.

Before, and not after as the server's own log does: when a client has its answer, the request is in the log.
"""

import importlib
import os

_application = importlib.import_module(os.environ["LOGGED_APPLICATION"]).application
_log = os.open(os.environ["REQUEST_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def application(environ, start_response):
    fields = (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_RANGE", "-"))
    os.write(_log, f"{' '.join(fields)}\n".encode())
    return _application(environ, start_response)

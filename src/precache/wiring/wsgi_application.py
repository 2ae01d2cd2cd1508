"""The API as a WSGI application, built from the configuration, for a server that is not ours.

It is configured by /etc/precache/precache.conf, or by the files that PRECACHE_CONFIG_FILES names, with a colon between
two; the later one wins.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from precache.config.load import Config, load_config
from precache.core.errors import InvalidConfiguration, PrecacheError
from precache.wiring.api_process import build_api
from precache.wiring.log_output import start_logging
from precache.wiring.per_process import PerProcess

FILES_VARIABLE = "PRECACHE_CONFIG_FILES"
CANNOT_START = 3
"""The exit code that gunicorn takes for a worker that can never start: it ends, and begins no endless loop."""

CANNOT_START_UWSGI = 22
"""The same in uWSGI's language, with its option `need-app`."""

_log = logging.getLogger(__name__)


def load_application() -> PerProcess:
    """Build the application. Ends the process, with one sentence in the log, where that cannot be."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        config = _configured()
        start_logging(config, process="api")
        return PerProcess(lambda: _build(config))
    except PrecacheError as error:
        _log.critical("the API cannot start: %s", error)
        sys.exit(CANNOT_START_UWSGI if "uwsgi" in sys.modules else CANNOT_START)


def _configured() -> Config:
    named = os.environ.get(FILES_VARIABLE, "")
    files = [Path(file) for file in named.split(os.pathsep) if file]
    config = load_config(files or None)
    if config.api.auth_strategy == "noauth":
        raise InvalidConfiguration(
            "[api] auth_strategy = noauth makes everybody an administrator who can reach this server, wherever it "
            "listens; set it to keystone, or run `precache serve api` on a loopback address"
        )
    return config


def _build(config: Config) -> Any:
    with ExitStack() as parts:
        app = build_api(config, parts)
        atexit.register(_close_in, os.getpid(), parts.pop_all())
    return app


def _close_in(pid: int, parts: ExitStack) -> None:
    """Close what the process opened; a child that inherited it leaves it alone."""
    if os.getpid() == pid:
        parts.close()

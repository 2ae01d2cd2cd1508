"""The output of a process's log: standard error (for journald), or the configured destination."""

from __future__ import annotations

import copy
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_context.context import RequestContext
from oslo_log import log

from precache.config.load import Config
from precache.core.errors import InvalidConfiguration
from precache.core.work_context import WorkContext, current_work

_log = logging.getLogger(__name__)

_DESTINATIONS = ("log_config_append", "log_file", "log_dir", "use_syslog", "use_journal")


def start_logging(config: Config, *, process: str, is_quiet: bool = False) -> None:
    """Set up the configured log; call it once, at the start of a process.

    process: such as `api`; the name of the file in [DEFAULT] log_dir. is_quiet: only warnings, for a short command.
    Raises InvalidConfiguration for a destination that cannot be used.
    """
    conf = config.oslo
    conf.set_default("use_stderr", not any(conf[option] for option in _DESTINATIONS))
    if conf.log_dir:
        conf.set_default("log_file", f"precache-{process}.log")
    try:
        log.setup(conf, "precache")
    except (log.LogConfigError, OSError, RuntimeError, ValueError) as error:
        raise InvalidConfiguration(f"the log cannot be written as [DEFAULT] says: {_reason(conf, error)}") from error
    for handler in logging.getLogger().handlers:
        handler.addFilter(_add_ids)
        if handler.formatter is not None:
            handler.setFormatter(_PlainFormatter(handler.formatter))
    if is_quiet and not config.host.debug:
        logging.getLogger().setLevel(logging.WARNING)
    for entry in config.unknown:
        _log.warning("%s; %s", entry.found, entry.advice)


def log_to_file_instead_of_terminal(config: Config, file: Path) -> Path | None:
    """Write the log to `file`, bounded in size, unless the configuration names a destination.

    Return the file if it is used. Call it before `start_logging`.
    """
    conf = config.oslo
    if conf.use_stderr or any(conf[option] for option in _DESTINATIONS):
        return None
    conf.set_default("log_file", str(file))
    conf.set_default("log_rotation_type", "size")
    conf.set_default("max_logfile_size_mb", 20)
    conf.set_default("max_logfile_count", 5)
    return file


def _reason(conf: cfg.ConfigOpts, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or conf.log_file}: {error.strerror or error}"
    if isinstance(error, ValueError):
        return f"default_log_levels must be module=LEVEL pairs with commas between them: {error}"
    if conf.use_journal:
        return (
            "use_journal needs Python's systemd module (Debian: python3-systemd); without it, leave the option out: "
            "systemd keeps what goes to standard error, too"
        )
    return " ".join(str(error).split())


def _add_ids(record: logging.LogRecord) -> bool:
    """Make oslo.log write the ids of the request or job that the thread works for."""
    if (work := current_work()) is not None:
        record.context = _ids(work)
    return True


@lru_cache(maxsize=128)  # it takes longer to make than the line to write, and a job writes one for each host
def _ids(work: WorkContext) -> _Ids:
    return _Ids(work.request_id, work.global_request_id, work.job_id)


class _PlainFormatter(logging.Formatter):
    """A formatter that keeps oslo.log from appending the current exception to a warning.

    The code that logs an error chooses its text; a library's own message may contain a password.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        if not record.exc_info and record.levelno > logging.INFO:  # the library appends it from WARNING on
            record = copy.copy(record)
            record.levelno = logging.INFO
        return self._inner.format(record)


class _Ids(RequestContext):
    """The fields of a log line that oslo.log's formats may use."""

    def __init__(self, request_id: str | None, global_request_id: str | None, job_id: str | None) -> None:
        super().__init__(request_id=request_id, overwrite=False)
        self._global, self._job, self._request = global_request_id, job_id, request_id

    def update_store(self) -> None:
        """Do nothing: the library's own current context would stay for later lines."""

    def get_logging_values(self) -> dict[str, Any]:
        # Without a request id the library would not use the format that has the ids.
        given = {"request_id": self._request or "-", "global_request_id": self._global, "job_id": self._job}
        return {**given, "ids": " ".join(each for each in (self._global, self._request, self._job) if each)}

"""The request log: one line of JSON for each request, written at the end of the response. Thread-safe.

A line holds time, client, method, path (with the prefix under which the service is mounted), query, status,
bytes_sent, range and agent. Tokens and other headers are never written.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

ROTATE_AT_BYTES = 16 * 1024 * 1024  # some 60 000 requests; one older file is kept beside it


class RequestLog:
    """Appends lines to a file. An error of the disk is logged once; requests are still answered."""

    def __init__(self, *, path: Path, rotate_at_bytes: int = ROTATE_AT_BYTES) -> None:
        self._path, self._rotate_at_bytes = path, rotate_at_bytes
        self._lock = threading.Lock()
        self._has_complained = False

    def write(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=True)
        with self._lock:
            try:
                self._append(text)
            except OSError as exc:
                if not self._has_complained:
                    self._has_complained = True
                    _log.warning("request log %s cannot be written: %s", self._path, exc.strerror or exc)

    def _append(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as out:
            out.write(text + "\n")
            is_full = out.tell() >= self._rotate_at_bytes
        if is_full:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))


def logged(app: WSGIApplication, log: RequestLog) -> WSGIApplication:
    """Return the application with every request of it written to the log."""

    def logging_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen: list[str] = []

        def remember(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            seen.append(status)
            return start_response(status, headers, *rest)

        line = _line(environ)
        body = app(environ, remember)
        return _CountedBody(body, lambda sent: log.write({**line, "status": _code(seen), "bytes_sent": sent}))

    return logging_app


class _CountedBody:
    """Passes a body on and reports at its end how many bytes of it were sent."""

    def __init__(self, body: Iterable[bytes], on_close: Callable[[int], None]) -> None:
        self._body, self._on_close, self._sent = body, on_close, 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._body:
            yield block
            # Counted when the server reads the next block: only then has it written this one.
            self._sent += len(block)

    def close(self) -> None:
        try:
            if close := getattr(self._body, "close", None):
                close()
        finally:
            self._on_close(self._sent)


def _line(environ: WSGIEnvironment) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "client": environ.get("REMOTE_ADDR"),
        "method": environ["REQUEST_METHOD"],
        "path": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        "query": environ.get("QUERY_STRING", ""),
        "range": environ.get("HTTP_RANGE"),
        "agent": environ.get("HTTP_USER_AGENT"),
    }


def _code(statuses: list[str]) -> int:
    return int(statuses[-1].split(" ", 1)[0]) if statuses else 500

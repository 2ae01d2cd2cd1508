"""Calls between processes of one machine over a Unix socket, which no network namespace separates.

Hosts and conductor of a site use it in the place of the message bus: so its messages take nothing of the shaped links.
A call is a connection of its own. Arguments, results and errors are pickled: all processes are of one test.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

BACKLOG = 256
FAMILY = "AF_UNIX"


class CallFailed(Exception):
    """The other process is not there, or died during the call."""


class CallServer:
    """Answers calls of the public methods of one object, each in a thread of its own, until the process ends."""

    def __init__(self, path: Path, target: object) -> None:
        self._target = target
        path.unlink(missing_ok=True)
        self._listener = Listener(str(path), family=FAMILY, backlog=BACKLOG)
        threading.Thread(target=self._accept, name="calls", daemon=True).start()

    def _accept(self) -> None:
        while True:
            with suppress(OSError, EOFError):
                connection = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with suppress(OSError, EOFError), connection:  # a caller that has died needs no answer
            name, words = connection.recv()
            assert not name.startswith("_")
            try:
                answer = (getattr(self._target, name)(*words), None)
            except Exception as error:  # noqa: BLE001  raised again by the caller
                answer = (None, (type(error), error.args, error.__dict__))
            connection.send(answer)


def call(path: Path, name: str, *words: Any) -> Any:
    """Return what the method of the object at this socket returns, or raise what it raises.

    Raises CallFailed if nobody is there, or the process dies meanwhile.
    """
    try:
        with Client(str(path), family=FAMILY) as connection:
            connection.send((name, words))
            result, failed = connection.recv()
    except (OSError, EOFError) as error:
        raise CallFailed(f"{name} at {path.name}: {error!r}") from error
    if failed is not None:
        kind, args, state = failed
        error = kind.__new__(kind)  # errors of this project have other arguments than their text
        error.args = args
        error.__dict__.update(state)
        raise error
    return result

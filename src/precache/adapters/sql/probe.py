"""Ask whether the database answers, in bounded time and at no cost to it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import timedelta

from sqlalchemy import literal, select

from precache.adapters.sql.engine import Database
from precache.core.errors import StoreUnavailable

ANSWER_WITHIN = timedelta(seconds=1.5)
"""Below the two seconds after which HAProxy, unless told otherwise, gives up a health check."""


class SqlProbe:
    """The port `StoreProbe`. Reads no table. Callers that come while a question is under way wait for its answer.

    So a database that does not answer holds one thread and one connection, however often it is asked for.
    """

    def __init__(self, *, database: Database, answer_within: timedelta = ANSWER_WITHIN) -> None:
        self._database = database
        self._limit_s = answer_within.total_seconds()
        self._lock = threading.Lock()
        self._answer: Future[None] | None = None

    def check_reachable(self) -> None:
        with self._lock:
            if self._answer is None:
                self._answer = Future()
                threading.Thread(target=self._ask, args=(self._answer,), name="store-probe", daemon=True).start()
            answer = self._answer
        try:
            answer.result(self._limit_s)
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self._limit_s:g} s ({self._database.place})") from None

    def _ask(self, answer: Future[None]) -> None:
        try:
            with self._database.read() as connection:
                connection.execute(select(literal(1)))
        except BaseException as error:  # noqa: BLE001  passed on to those who wait
            self._forget()
            answer.set_exception(error)
        else:
            self._forget()
            answer.set_result(None)

    def _forget(self) -> None:
        with self._lock:
            self._answer = None

"""Checks whether the database answers, in bounded time and with little load."""

from __future__ import annotations

from sqlalchemy import literal, select

from precache.adapters.sql.engine import Database
from precache.background.single_flight import SingleFlight
from precache.core.errors import StoreUnavailable

ANSWER_WITHIN_S = 1.5
"""Below the two seconds after which HAProxy, unless told otherwise, gives up a health check."""


class SqlProbe:
    """The port `StoreProbe`. Reads no table. Callers that arrive during a query wait for its answer.

    So a database that does not answer occupies one thread and one connection, however many callers there are.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._ask = SingleFlight(self._select, name="store-probe")

    def check_reachable(self) -> None:
        try:
            self._ask(ANSWER_WITHIN_S)
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {ANSWER_WITHIN_S:g} s ({self._database.place})") from None

    def _select(self) -> None:
        with self._database.read() as connection:
            connection.execute(select(literal(1)))

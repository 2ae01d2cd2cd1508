"""The authority of a deployment, which all of its conductors share: its keys are in the database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from precache.adapters.swarm_authority.authority import Authority, AuthorityKey
from precache.adapters.swarm_authority.keys_sql import SqlAuthorityKeys
from precache.core.errors import StoreUnavailable
from precache.core.swarm_certificates import HostCertificate
from precache.ports.clock import Clock
from precache.ports.swarm_trust import RootStatement, Ticket

_log = logging.getLogger(__name__)

READ_INTERVAL = timedelta(minutes=1)
"""After which a conductor looks whether the keys in the database have changed."""

MARGIN = timedelta(minutes=10)
"""For clocks of hosts and conductors that differ, and for READ_INTERVAL."""

RENEWED_BEFORE_END = timedelta(days=365)
"""A conductor makes the next key so long before the last one ends."""


class StoredAuthority:
    """The port `SwarmAuthority`. Thread-safe. The first conductor that needs a key makes it.

    certificate_lifetime: of the certificates of hosts.

    Every method raises InvalidConfiguration without encryption keys, SecretUnreadable, and StoreUnavailable if the
    database does not answer and the keys were never read.
    """

    def __init__(self, *, keys: SqlAuthorityKeys, clock: Clock, certificate_lifetime: timedelta) -> None:
        self._keys, self._clock, self._lifetime = keys, clock, certificate_lifetime
        self._lock = threading.Lock()
        self._authority: Authority | None = None
        self._read_at = timedelta()

    def check(self) -> None:
        """Raise SecretUnreadable if there is a key that cannot be decrypted; make none."""
        self._keys.list_keys()

    def certify(self, host: str, cell: str, site: str, signing_request: str) -> HostCertificate:
        return self._current().certify(host, cell, site, signing_request)

    def ticket(self, ticket: Ticket) -> str:
        return self._current().ticket(ticket)

    def root(self, statement: RootStatement) -> str:
        return self._current().root(statement)

    def _current(self) -> Authority:
        with self._lock:
            uptime = self._clock.uptime()
            if self._authority is None or uptime - self._read_at >= READ_INTERVAL:
                self._authority = self._read()
                self._read_at = uptime
            return self._authority

    def _read(self) -> Authority:
        try:
            keys = self._list_keys()
        except StoreUnavailable as error:
            if self._authority is None:
                raise
            _log.warning("The keys of the swarm's authority were not read again: %s", error)
            return self._authority
        trusted = still_trusted(keys, self._clock.now(), self._lifetime)
        return Authority(keys=trusted, clock=self._clock, certificate_lifetime=self._lifetime)

    def _list_keys(self) -> list[AuthorityKey]:
        now = self._clock.now()
        keys = self._keys.list_keys()
        if not keys:
            self._keys.add_first(AuthorityKey.create(now=now))
            keys = self._keys.list_keys()
        elif keys[-1].ends_at - now < RENEWED_BEFORE_END:
            add_next(self._keys, keys[-1], now, self._lifetime)
            keys = self._keys.list_keys()
        return keys


def add_next(
    keys: SqlAuthorityKeys, last: AuthorityKey, now: datetime, certificate_lifetime: timedelta
) -> AuthorityKey:
    """Store the key that follows `last`, and return it. It signs when every host knows it: after one lifetime."""
    key = AuthorityKey.create(now=now, signs_from=now + certificate_lifetime + MARGIN)
    keys.add(key, after=last)
    return key


def still_trusted(keys: Sequence[AuthorityKey], now: datetime, certificate_lifetime: timedelta) -> list[AuthorityKey]:
    """Return the keys without those that have been replaced for so long that no certificate of theirs is valid."""
    over = [key for key in keys if key.signs_from + certificate_lifetime + MARGIN <= now]
    return list(keys[max(len(over) - 1, 0) :])

"""TLS to real databases, set in the URL, across a restart, and every way in which it fails."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import text

from precache.adapters.inventory_sql import SqlHosts
from precache.adapters.sql import open_database
from precache.adapters.sql.limits import Limits
from precache.core.errors import StoreUnavailable
from tests.lab.account import hand_over
from tests.lab.certificates import EXPIRED, Authority
from tests.lab.database_server import PASSWORD

pytestmark = pytest.mark.external

SERVERS = ("postgresql", "mariadb")
OPTIONS = {"postgresql": "sslmode=verify-full&sslrootcert={}", "mariadb": "ssl_ca={}"}
IS_SAFE = {
    "postgresql": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mariadb": "SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'",
}
PATIENT = Limits(patience=timedelta(seconds=60))


class Safe:
    """A server with TLS, and the authority that its certificate is of."""

    def __init__(self, kind, server):
        self.kind, self.server = kind, server
        directory = server.directory / "tls"
        directory.mkdir(exist_ok=True)
        self.authority = Authority(directory)
        self.renew()

    def renew(self, **options):
        certificate = self.authority.certificate("127.0.0.1", **options)
        hand_over(certificate.cert.parent, self.server.account)
        self.server.use_certificate(certificate)

    def url(self, cafile=None):
        """Return the URL of the empty database, with all checks."""
        return f"{self.server.empty_url()}?{OPTIONS[self.kind].format(cafile or self.authority.cafile)}"


@pytest.fixture(scope="module", params=SERVERS)
def safe(request):
    server = request.getfixturevalue(request.param)
    server.start()
    yield Safe(request.param, server)
    server.use_certificate(None)


@contextlib.contextmanager
def opened(url, limits=None):
    database = open_database(url, limits=limits)
    try:
        yield database
    finally:
        database.close()


def failure(url):
    """Return the error of a connection that cannot be made; it comes at once, because waiting does not help."""
    with opened(url, PATIENT) as database:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            SqlHosts(database=database).list_hosts()
        assert time.monotonic() - begun < PATIENT.patience.total_seconds()
    assert PASSWORD not in str(caught.value)
    return str(caught.value).removeprefix("The database is not available: ")


def test_everything_goes_over_tls(safe):
    with opened(safe.url()) as database:
        assert SqlHosts(database=database).list_hosts() == []
        with database.read() as connection:
            assert connection.scalar(text(IS_SAFE[safe.kind])) in (True, 1)


def test_a_restart_of_the_server_is_waited_for(safe):
    with opened(safe.url(), PATIENT) as database:
        hosts = SqlHosts(database=database)
        hosts.list_hosts()
        safe.server.stop()
        comes_back = threading.Timer(0.3, safe.server.start)
        comes_back.start()

        assert hosts.list_hosts() == []

        comes_back.join()


def test_an_authority_that_was_not_named_is_not_believed(safe, tmp_path):
    assert failure(safe.url(Authority(tmp_path).cafile)).startswith("its certificate is not accepted (")


def test_the_certificate_of_another_server_is_refused(safe):
    reason = failure(safe.url().replace("127.0.0.1", "localhost"))

    assert reason.startswith("its certificate is not valid for localhost; correct the host in [database] connection")


def test_a_certificate_that_has_expired_is_refused(safe):
    safe.renew(valid_for=EXPIRED)
    try:
        reason = failure(safe.url())
    finally:
        safe.renew()

    assert "expired" in reason


def test_a_server_without_tls_gets_no_credentials_if_tls_is_required(safe):
    safe.server.use_certificate(None)
    try:
        reason = failure(safe.url())
    finally:
        safe.renew()

    assert reason.startswith("the server has no TLS, which [database] connection demands")

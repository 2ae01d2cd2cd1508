"""URLs of databases with TLS: what would protect less than it seems to is refused before anything is sent."""

import pytest

from precache.adapters.sql import open_database
from precache.adapters.sql.failures import tls_cause
from precache.core.errors import DatabaseUrlRefused
from tests.lab.certificates import Authority

MARIADB = "mysql+pymysql://precache:hush-hush@db/precache"
POSTGRESQL = "postgresql+psycopg://precache:hush-hush@db/precache"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize(
    ("url", "options"),
    [
        (MARIADB, "ssl_ca={ca}"),
        (MARIADB, "ssl_ca={ca}&ssl_cert={cert}&ssl_key={key}&ssl_check_hostname=false"),
        (MARIADB, "ssl_disabled=true"),
        (POSTGRESQL, "sslmode=verify-full&sslrootcert={ca}&sslcert={cert}&sslkey={key}"),
        (POSTGRESQL, "sslmode=verify-full&sslrootcert=system"),
        (POSTGRESQL, "sslmode=require"),
    ],
)
def test_options_that_can_be_meant_are_accepted(authority, url, options):
    own = authority.certificate("controller")

    open_database(f"{url}?{options.format(ca=authority.cafile, cert=own.cert, key=own.key)}").close()


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        (MARIADB, "ssl_ca=/nowhere.pem", r"ssl_ca /nowhere\.pem cannot be read: No such file"),
        (MARIADB, "ssl_ca={key}", "ssl_ca .* holds no certificate"),
        (MARIADB, "ssl_ca={ca}&ssl_cert=/nowhere.pem", r"ssl_cert /nowhere\.pem cannot be read"),
        (MARIADB, "ssl=true", "ssl is no option of a URL; write ssl_ca=FILE"),
        (MARIADB, "ssl_ca={ca}&ssl_verify_cert=true", "ssl_verify_cert has the driver forget ssl_ca; leave it out"),
        (MARIADB, "ssl_ca={ca}&ssl_verify_identity=1", "ssl_verify_identity has the driver forget"),
        (MARIADB, "ssl_ca={ca}&ssl_disabled=false", "ssl_disabled has the driver forget"),
        (POSTGRESQL, "sslmode=full", "its sslmode is none of disable, "),
        (POSTGRESQL, "sslrootcert={ca}", "sslrootcert alone protects nothing; add sslmode=verify-full"),
        (POSTGRESQL, "sslrootcert={ca}&sslmode=prefer", "sslrootcert alone protects nothing"),
        (POSTGRESQL, "sslmode=verify-full&sslrootcert=/nowhere.pem", "sslrootcert /nowhere.pem cannot be read"),
    ],
)
def test_options_that_protect_less_than_they_seem_to_are_refused(authority, url, options, words):
    own = authority.certificate("controller")

    with pytest.raises(DatabaseUrlRefused, match=words) as caught:
        open_database(f"{url}?{options.format(ca=authority.cafile, cert=own.cert, key=own.key)}")

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "server closed the connection unexpectedly",
        "SSL connection has been closed unexpectedly",
        "SSL SYSCALL error: EOF detected",
        "SSL error: unexpected eof while reading",
        "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)",
        "Lost connection to MySQL server during query",
    ],
)
def test_a_server_that_restarts_is_not_reported_as_wrong_tls(words):
    assert tls_cause(words) is None

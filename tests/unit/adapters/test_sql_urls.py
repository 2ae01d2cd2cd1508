"""URLs of databases: as operators paste them, and as they cannot work."""

import pytest
from sqlalchemy import make_url

from precache.adapters.sql import open_database
from precache.adapters.sql.urls import missing_driver, parse_url
from precache.core.errors import DatabaseUrlRefused


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:////var/lib/x.sqlite", "sqlite:////var/lib/x.sqlite"),
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg://u:p@h:5433/d?sslmode=require", "postgresql+psycopg://u:p@h:5433/d?sslmode=require"),
        ("mysql://u:p@h/d", "mysql+pymysql://u:p@h/d?charset=utf8mb4"),
        ("mariadb://u:p@h/d", "mysql+pymysql://u:p@h/d?charset=utf8mb4"),
        ("mysql+pymysql://u:p@h/d?charset=utf8", "mysql+pymysql://u:p@h/d?charset=utf8mb4"),
        ("mysql+pymysql://u:p@h/d?charset=utf8&ssl_ca=/ca", "mysql+pymysql://u:p@h/d?ssl_ca=/ca&charset=utf8mb4"),
        ("mysql+pymysql://u:p@h/d?plugin=dbcounter", "mysql+pymysql://u:p@h/d?charset=utf8mb4"),
        ("mysql+pymysql://u:p%40ss@h/d", "mysql+pymysql://u:p%40ss@h/d?charset=utf8mb4"),
    ],
)
def test_a_url_as_operators_have_it_gets_a_driver_that_is_there(given, used):
    assert parse_url(given) == make_url(used)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "does not have the form"),
        ("hunter2", "does not have the form"),
        ("mysql://u:hunter2@h:port/d", "does not have the form"),
        ("oracle://u:hunter2@h/d", "oracle is none of sqlite, postgresql, mysql and mariadb"),
        ("mysql://u:hunter2@h", "names no database"),
        ("postgresql://u:hunter2@h/", "names no database"),
        ("mysql://u:pass@hunter2@h/d", "write %40"),
        ("mysql://u:pass@word/hunter2@h/d", "write %40"),
        ("mysql+nosuchdriver://u:hunter2@h/d", r"there is no mysql\+nosuchdriver; write mysql\+pymysql://"),
        ("postgresql+psycopg2://u:hunter2@h/d", r"psycopg2.*or write postgresql\+psycopg://"),
        ("mysql+mysqldb://u:hunter2@h/d", r"MySQLdb.*or write mysql\+pymysql://"),
        ("mysql://u:hunter2@h/d?wait=hunter2&more=1", "no option more, wait"),
        ("mysql://u:hunter2@h/d?connect_timeout=hunter2", "one of charset, connect_timeout is not a number"),
    ],
)
def test_a_url_that_can_never_work_is_refused_with_the_reason_and_without_its_secrets(url, reason):
    with pytest.raises(DatabaseUrlRefused, match=reason) as caught:
        open_database(url)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("mysql://h/d", r"pip install 'precache\[mariadb\]'"),
        ("postgres://h/d", r"pip install 'precache\[postgresql\]'"),
    ],
)
def test_without_the_driver_the_error_says_how_to_install_it(url, command):
    refusal = missing_driver(parse_url(url), ImportError("No module named 'driver'"))

    with pytest.raises(DatabaseUrlRefused, match=command):
        raise refusal

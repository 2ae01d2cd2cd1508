"""Transactions are whole, many threads share a file, and no foreign exception or secret gets out."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import OperationalError

from precache.adapters.sql import open_database, upgrade
from precache.adapters.sql.batches import batches
from precache.adapters.sql.failures import translated
from precache.adapters.sql.tables import cells, hosts
from precache.core.errors import DatabaseDamaged, DatabaseUrlRefused, InvariantBroken, StoreUnavailable


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path}/precache.sqlite")
    upgrade(opened)
    yield opened
    opened.close()


def test_a_block_that_raises_undoes_all_its_changes(database):
    def half():
        with database.write() as connection:
            connection.execute(insert(cells).values(name="half"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()

    assert names(database) == []


def test_what_is_read_in_one_transaction_is_one_snapshot(database):
    with database.read() as reader:
        before = reader.scalars(select(cells.c.name)).all()
        with database.write() as writer:
            writer.execute(insert(cells).values(name="new"))
        after = reader.scalars(select(cells.c.name)).all()

    assert (before, after, names(database)) == ([], [], ["new"])


def test_many_threads_that_read_and_then_write_wait_for_each_other(database):
    together = threading.Barrier(8)

    def count_up(thread):
        together.wait()
        for _ in range(5):
            with database.write() as connection:
                count = len(connection.scalars(select(cells.c.name)).all())
                connection.execute(insert(cells).values(name=f"cell-{count}"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count_up, range(8), timeout=60))

    assert sorted(names(database)) == sorted(f"cell-{number}" for number in range(40))


def test_connections_are_set_up_for_sharing_and_for_power_cuts(database):
    def pragma(name):
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    with database.write() as connection:
        assert (pragma("journal_mode"), pragma("foreign_keys"), pragma("synchronous")) == ("wal", 1, 2)
        assert pragma("busy_timeout") > 0
    with database.write(is_forgettable=True) as connection:
        assert pragma("synchronous") == 1
    with database.write() as connection:
        assert pragma("synchronous") == 2


def test_an_instant_of_any_time_zone_is_read_in_utc_with_its_microseconds(database):
    there = datetime(2026, 3, 1, 17, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with database.write() as connection:
        connection.execute(insert(hosts).values(name="a", driver="", forced_down=False, last_seen=there))

    with database.read() as connection:
        found = connection.scalar(select(hosts.c.last_seen))

    assert found == there
    assert found.tzinfo is UTC


def test_an_instant_without_a_time_zone_is_a_mistake(database):
    row = insert(hosts).values(name="a", driver="", forced_down=False, last_seen=datetime(2026, 3, 1))

    with pytest.raises(InvariantBroken, match="no time zone"), database.write() as connection:
        connection.execute(row)


def test_a_failing_database_is_unavailable_and_says_which_it_is(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/missing/precache.sqlite")

    with pytest.raises(StoreUnavailable, match=r"unable to open database file \(sqlite .*missing") as caught:
        names(database)

    assert caught.value.__cause__ is not None


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    (tmp_path / "precache.sqlite").write_text("something else " * 100)
    database = open_database(f"sqlite:///{tmp_path}/precache.sqlite")

    with pytest.raises(StoreUnavailable, match="file is not a database"):
        names(database)


def test_a_message_holds_neither_the_statement_nor_its_values(database):
    with pytest.raises(StoreUnavailable) as caught, database.read() as connection:
        connection.execute(text("SELECT * FROM missing WHERE secret = :value"), {"value": "hunter2"})

    assert "hunter2" not in str(caught.value)
    assert "SELECT" not in str(caught.value)


def test_an_unexpected_refusal_of_a_change_is_a_bug(database):
    with pytest.raises(InvariantBroken, match="FOREIGN KEY"), database.write() as connection:
        connection.execute(insert(hosts).values(name="a", cell_id=99, driver="", forced_down=False))


def test_a_change_by_another_process_is_waited_for(database):
    other = sqlite3.connect(database.engine.url.database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.05, other.execute, ["COMMIT"])
    done.start()

    with database.write() as connection:
        connection.execute(insert(cells).values(name="after"))

    done.join()
    other.close()
    assert names(database) == ["after"]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "not a url with hunter2",
        "nosuchdatabase://user:hunter2@host/db",
        "postgresql+nosuchdriver://user:hunter2@host/db",
    ],
)
def test_a_url_that_can_never_work_is_refused_without_its_password(url):
    with pytest.raises(DatabaseUrlRefused) as caught:
        open_database(url)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], []), ([1], [[1]]), ([1, 2], [[1, 2]]), ([1, 2, 3], [[1, 2], [3]])],
)
def test_batches_hold_all_values_in_order(values, expected):
    assert list(batches(values, 2)) == expected


def names(database):
    with database.read() as connection:
        return list(connection.scalars(select(cells.c.name)))


def test_a_file_that_is_no_database_is_reported_with_advice(tmp_path):
    (tmp_path / "precache.sqlite").write_bytes(b"no database " * 1000)

    with pytest.raises(DatabaseDamaged, match=r"file is not a database \(sqlite .*precache.sqlite\); restore it"):
        upgrade(open_database(f"sqlite:///{tmp_path}/precache.sqlite"))


def test_a_database_with_broken_pages_is_reported_with_advice(database, tmp_path):
    database.close()
    file = tmp_path / "precache.sqlite"
    header, pages = file.read_bytes()[:100], file.stat().st_size - 100
    file.write_bytes(header + b"\xff" * pages)

    with pytest.raises(DatabaseDamaged, match="malformed"):
        upgrade(open_database(f"sqlite:///{file}"))


FULL_DISK = Path("/proc/self/precache.sqlite")
"""A file on a file system that has no free space."""


def disk_error(code):
    """Return SQLite's error with this extended code, as the library raises it."""
    original = sqlite3.OperationalError("disk I/O error")
    original.sqlite_errorcode = code
    return OperationalError("INSERT", {}, original)


def test_a_connection_that_breaks_when_it_is_given_back_is_dropped_and_logs_nothing(database, monkeypatch, caplog):
    broken = database.engine.raw_connection()
    with monkeypatch.context() as patch:
        patch.setattr(database.engine.dialect, "do_rollback", refuse)
        patch.setattr(database.engine.dialect, "do_close", refuse)
        broken.close()

    assert names(database) == []
    assert caplog.records == []


def refuse(_connection):
    raise sqlite3.OperationalError("the server has gone away")


def test_a_full_disk_is_named_with_advice(database):
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
    database.close()  # further connections cannot enlarge the file, as on a full disk

    with (
        pytest.raises(StoreUnavailable, match=r"its disk is full \(sqlite .*\); free some space there"),
        database.write() as connection,
    ):
        connection.execute(insert(cells), [{"name": f"cell-{number:0200}"} for number in range(1000)])


def test_a_full_disk_that_sqlite_calls_an_input_output_error_is_named_alike():
    with pytest.raises(StoreUnavailable, match="its disk is full"), translated("sqlite", FULL_DISK):
        raise disk_error(sqlite3.SQLITE_IOERR_SHMSIZE)


def test_an_input_output_error_of_a_disk_with_space_advises_to_check_the_disk(tmp_path):
    with (
        pytest.raises(StoreUnavailable, match=r"disk I/O error \(sqlite\); look into the kernel's log"),
        translated("sqlite", tmp_path / "precache.sqlite"),
    ):
        raise disk_error(sqlite3.SQLITE_IOERR)

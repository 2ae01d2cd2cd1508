"""The health check of the store: a quick and cheap answer, independent of the store's content."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from precache.adapters.sql import SqlProbe, open_database
from precache.core.errors import StoreUnavailable


def test_a_store_that_is_there_is_reachable_and_no_table_is_read(stores):
    statements = []
    if stores.database is not None:
        event.listen(stores.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    for _ in range(3):
        stores.probe.check_reachable()

    assert not [statement for statement in statements if "FROM" in statement.upper()]


def test_a_file_that_cannot_be_opened_is_no_store(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/not/there/precache.sqlite")

    with pytest.raises(StoreUnavailable):
        SqlProbe(database=database).check_reachable()


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mysql+pymysql"])
def test_a_silent_server_times_out_soon_and_is_connected_once_for_all_callers(scheme):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        database = open_database(f"{scheme}://u:p@127.0.0.1:{listener.getsockname()[1]}/d")
        probe = SqlProbe(database=database)

        def fail():
            with pytest.raises(StoreUnavailable, match=r"no answer within 1\.5 s"):
                probe.check_reachable()

        begun = time.monotonic()
        with ThreadPoolExecutor(8) as callers:
            list(callers.map(lambda _: fail(), range(8)))

        assert time.monotonic() - begun < 5  # the limits of a connection alone are longer
        listener.settimeout(1)
        listener.accept()
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_an_answer_is_asked_for_again_after_a_failure(tmp_path):
    probe = SqlProbe(database=open_database(f"sqlite:///{tmp_path}/later/precache.sqlite"))
    with pytest.raises(StoreUnavailable):
        probe.check_reachable()

    (tmp_path / "later").mkdir()

    probe.check_reachable()

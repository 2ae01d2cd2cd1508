"""The commands beside the client's, run as the program runs them."""

import io
import logging
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.jobs_sql import SqlJobClaims, SqlJobIntake
from precache.adapters.sql import check_schema, open_database
from precache.cli.app import PrecacheApp
from precache.core.images import parse_image_id
from precache.core.jobs import JobState, NewJob
from precache.core.orders import ImageOrder
from precache.wiring.state_dir import StateDir

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")


@pytest.fixture(autouse=True)
def logging_stays_as_it_is():
    """Undo what a command does to the logging of its process."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def run(*words: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    code = PrecacheApp(environ={}, stdout=stdout, stderr=stderr).run(list(words))
    return code, stdout.getvalue(), stderr.getvalue()


def test_db_upgrade_makes_a_database_that_a_service_accepts(tmp_path):
    code, _, told = run("db", "upgrade", "--state-dir", str(tmp_path))

    assert code == 0
    assert "up to date" in told
    database = open_database(StateDir(tmp_path).database_url)
    check_schema(database)
    database.close()


def test_db_upgrade_works_on_the_database_of_the_configuration_file(tmp_path):
    url = f"sqlite:///{tmp_path / 'precache.sqlite'}"
    config = tmp_path / "precache.conf"
    config.write_text(f"[database]\nconnection = {url}\n")

    code, _, told = run("db", "upgrade", "--config-file", str(config))

    assert (code, told) == (0, f"The database sqlite {tmp_path / 'precache.sqlite'} is up to date.\n")
    database = open_database(url)
    check_schema(database)
    database.close()


def test_db_upgrade_without_a_database_says_which_option_to_set(tmp_path):
    (tmp_path / "precache.conf").write_text("")

    code, _, told = run("db", "upgrade", "--config-file", str(tmp_path / "precache.conf"))

    assert code == 2
    assert "[database] connection is not set" in told


def test_db_upgrade_of_two_databases_at_once_is_a_mistake(tmp_path):
    with pytest.raises(SystemExit) as left:
        run("db", "upgrade", "--state-dir", str(tmp_path), "--config-file", str(tmp_path / "precache.conf"))

    assert left.value.code == 2


def test_each_key_is_new_and_encrypts():
    first, second = run("config", "key")[1], run("config", "key")[1]

    assert first != second
    assert Fernet(first.strip()).decrypt(Fernet(first.strip()).encrypt(b"url")) == b"url"


@pytest.mark.parametrize(
    "words",
    [
        ("db", "upgrade", "--state-dir", ""),
        ("serve", "all", "--state-dir", ""),
        ("disk", "create", "--image", "x", "--path", "d", "--instances-path", ""),
        ("doctor", "--role", "all", "--state-dir", ""),
    ],
)
def test_an_empty_path_is_a_mistake_and_not_the_current_directory(words, capsys):
    with pytest.raises(SystemExit) as left:
        run(*words)

    assert left.value.code == 2
    assert "the path is empty" in capsys.readouterr().err


def test_db_upgrade_where_no_directory_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    code, _, told = run("db", "upgrade", "--state-dir", str(tmp_path / "file"))

    assert code == 1
    assert told.startswith("precache: the state directory")


@pytest.mark.parametrize(
    ("words", "holds"),
    [(("config", "sample"), "[image_cache]"), (("policy", "sample"), '#"compute:aggregates:images"')],
)
def test_samples_are_printed(words, holds):
    code, printed, told = run(*words)

    assert (code, told) == (0, "")
    assert holds in printed


def test_a_disk_on_a_cache_that_nova_cleans_is_refused(tmp_path):
    config = tmp_path / "precache.conf"
    config.write_text("[image_cache]\nowner = nova\n")

    code, _, told = run(
        "disk", "create", "--image", "70a599e0-31e7-49b7-b260-868f441e862b", "--path", str(tmp_path / "disk.qcow2"),
        "--config-file", str(config),
    )  # fmt: skip

    assert code == 2
    assert "owner is nova" in told


def test_a_disk_of_an_empty_name_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run("disk", "create", "--image", "", "--path", str(tmp_path / "x.qcow2"), "--instances-path", str(tmp_path))

    assert ended.value.code == 2
    assert "argument --image: '' is empty; is a variable unset?" in capsys.readouterr().err


class TestDbPurge:
    @pytest.fixture
    def state_dir(self, tmp_path):
        """One job ended forty days ago, one waits."""
        run("db", "upgrade", "--state-dir", str(tmp_path))
        clock = MemoryClock(start=datetime.now(UTC) - timedelta(days=40))
        database = open_database(StateDir(tmp_path).database_url, clock=clock)
        intake, claims = SqlJobIntake(database=database), SqlJobClaims(database=database)
        for name in ("old", "waits"):
            intake.add(
                NewJob(
                    id=name,
                    hosts=("host",),
                    orders=(ImageOrder(IMAGE),),
                    requested_by="admin",
                    request_id="req",
                    created_at=clock.now(),
                )
            )
            clock.advance(timedelta(seconds=1))
        claims.finish(claims.claim("me", timedelta(seconds=30)).claim, JobState.FAILED)
        database.close()
        return tmp_path

    def test_says_how_many_would_be_removed_and_then_removes_them(self, state_dir):
        purge = ("db", "purge", "--state-dir", str(state_dir), "--older-than")

        told = [run(*purge, "30", "--dry-run"), run(*purge, "41"), run(*purge, "30"), run(*purge, "30")]

        assert [code for code, _, _ in told] == [0] * 4
        assert [words for _, _, words in told] == [
            "1 job that ended 30 days ago or earlier would be removed.\n",
            "0 jobs that ended 41 days ago or earlier were removed.\n",
            "1 job that ended 30 days ago or earlier was removed.\n",
            "0 jobs that ended 30 days ago or earlier were removed.\n",
        ]

    @pytest.mark.parametrize("days", ["0", "-1", "1.5", "", "x", "36501", "9" * 30, "\N{SUPERSCRIPT TWO}"])
    def test_refuses_what_is_no_number_of_days(self, capsys, days):
        with pytest.raises(SystemExit) as refused:
            run("db", "purge", f"--older-than={days}")

        assert refused.value.code == 2
        assert "is not a whole number from 1 to 36500" in capsys.readouterr().err

    def test_refuses_to_make_a_state_directory(self, tmp_path):
        code, _, told = run("db", "purge", "--older-than", "1", "--state-dir", str(tmp_path / "missing"))

        assert code == 2
        assert "is not a directory" in told
        assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("option", [("--images", "nowhere"), ("--listen", "0.0.0.0:0")])
def test_serve_all_makes_no_state_directory_if_its_options_are_refused(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)

    code, _, told = run("serve", "all", "--state-dir", "state", "--hosts", "cell1:cmp-1", *option)

    assert (code, list(tmp_path.iterdir())) == (2, []), told

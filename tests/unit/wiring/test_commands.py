"""The commands beside the client's, run as the program runs them."""

import io
import logging

import pytest
from cryptography.fernet import Fernet

from precache.adapters.sql import check_schema, open_database
from precache.cli.app import PrecacheApp
from precache.wiring.state_dir import StateDir


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


@pytest.mark.parametrize("image", ["", "debian", "70a599e0-31e7-49b7-b260"])
def test_a_disk_of_something_that_is_no_image_id_is_refused(tmp_path, image):
    code, _, told = run("disk", "create", "--image", image, "--path", str(tmp_path / "disk.qcow2"))

    assert code == 1
    assert "is not an image id" in told

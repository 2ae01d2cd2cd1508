"""The commands beside the client's, run as the program runs them."""

import io
import logging

import pytest

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


def test_db_upgrade_where_no_directory_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    code, _, told = run("db", "upgrade", "--state-dir", str(tmp_path / "file"))

    assert code == 1
    assert told.startswith("precache: Invalid configuration: the state directory")


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

    assert code == 1
    assert "owner is nova" in told


@pytest.mark.parametrize("image", ["", "debian", "70a599e0-31e7-49b7-b260"])
def test_a_disk_of_something_that_is_no_image_id_is_refused(tmp_path, image):
    code, _, told = run("disk", "create", "--image", image, "--path", str(tmp_path / "disk.qcow2"))

    assert code == 1
    assert "is not an image id" in told

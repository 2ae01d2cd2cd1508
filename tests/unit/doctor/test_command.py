"""`precache doctor` as a script runs it."""

import io
import json
import logging

import pytest

from precache.adapters.sql import open_database, upgrade
from precache.cli.app import PrecacheApp
from precache.wiring.state_dir import StateDir

ONLY_HERE = "[image_cache]\nowner = precache\n[glance]\nendpoint_override = http://127.0.0.1:9\n"


@pytest.fixture(autouse=True)
def logging_stays_as_it_is():
    """Undo what a command does to the logging of its process."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    yield
    root.handlers[:] = handlers


def doctor(*words):
    stdout, stderr = io.StringIO(), io.StringIO()
    code = PrecacheApp(environ={}, stdout=stdout, stderr=stderr).run(["doctor", "-f", "json", *words])
    return code, json.loads(stdout.getvalue()), stderr.getvalue()


def test_every_part_that_fails_is_in_one_table_with_what_to_do(tmp_path):
    config = tmp_path / "precache.conf"
    config.write_text(
        f"[DEFAULT]\ninstances_path = {tmp_path}\ntransport_url = rabbit://u:hush-hush@127.0.0.1:9/x\n{ONLY_HERE}"
    )
    config.chmod(0o644)

    code, found, told = doctor("--config-file", str(config), "--role", "compute")

    by_check = {row["check"]: row["status"] for row in found}
    assert code == 8
    assert (by_check["configuration"], by_check["cell's message bus"], by_check["image service"]) == (
        "warning", "failed", "failed",
    )  # fmt: skip
    assert (by_check["locks"], by_check["qemu-img"]) == ("ok", "ok")
    assert "hush-hush" not in json.dumps(found) + told


def test_a_configuration_that_cannot_be_meant_is_a_finding(tmp_path):
    config = tmp_path / "precache.conf"
    config.write_text("[image_cache]\nprecache_concurrency = 0\n")

    code, [row], _ = doctor("--config-file", str(config))

    assert (code, row["check"], row["status"]) == (8, "configuration", "failed")
    assert "precache_concurrency" in row["found"]


def test_where_nothing_fails_the_code_is_0(tmp_path, sqlite_url):
    config = tmp_path / "precache.conf"
    config.write_text(f"[database]\nconnection = {sqlite_url}\n[DEFAULT]\ninstances_path = {tmp_path}\n")
    config.chmod(0o600)

    code, found, _ = doctor("--config-file", str(config), "--role", "conductor")

    assert code == 0
    assert {row["status"] for row in found} == {"ok", "warning", "skipped"}


def test_misspelt_options_are_all_listed_beside_whatever_else_is_wrong(tmp_path):
    config = tmp_path / "precache.conf"
    config.write_text(
        "[DEFAULT]\ntranport_url = x\nmy_ip = 10.0.0.1\n[imagecache]\nowner = nova\n"
        "[service_user]\nauth_type = password\n"
    )

    code, rows, _ = doctor("--config-file", str(config), "--role", "compute")

    assert code == 8
    assert [(row["status"], row["advice"]) for row in rows[1:]] == [
        ("failed", "did you mean transport_url?"),
        ("warning", "it has no effect; remove it"),
        ("failed", "did you mean [image_cache]?"),
    ]
    assert "auth_url is missing" in rows[0]["found"]


def test_a_file_that_is_no_configuration_is_a_finding(tmp_path):
    config = tmp_path / "precache.conf"
    config.write_text("no section\n")

    code, [row], _ = doctor("--config-file", str(config))

    assert (code, row["status"]) == (8, "failed")
    assert "Failed to parse" in row["found"]


def test_the_embedded_service_is_checked_in_its_state_directory(tmp_path):
    state = StateDir(tmp_path / "state")

    _, before, _ = doctor("--role", "all", "--state-dir", str(state.root))
    state.take()
    upgrade(database := open_database(state.database_url))
    database.close()
    _, after, _ = doctor("--role", "all", "--state-dir", str(state.root))
    state.release()

    assert {row["check"]: row["found"] for row in before}["database"] == "it will be made at the first start"
    found = {row["check"]: row["found"] for row in after}
    assert "has the tables of this release" in found["database"]
    assert {"state directory", "policy", "disk space", "cache owner", "qemu-img"} <= found.keys()


def test_a_state_directory_belongs_to_the_embedded_service(tmp_path):
    stdout, stderr = io.StringIO(), io.StringIO()

    code = PrecacheApp(environ={}, stdout=stdout, stderr=stderr).run(
        ["doctor", "--role", "api", "--state-dir", str(tmp_path)]
    )

    assert (code, stdout.getvalue(), stderr.getvalue()) == (2, "", "precache: --state-dir is for --role all\n")


def test_the_report_fits_a_narrow_terminal_and_ends_with_a_count(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    config = tmp_path / "precache.conf"
    config.write_text("[image_cache]\nprecache_concurrency = 0\n" + "[DEFAULT]\ntranport_url = x\n")
    stdout, stderr = io.StringIO(), io.StringIO()

    PrecacheApp(environ={}, stdout=stdout, stderr=stderr).run(["doctor", "--config-file", str(config)])

    lines = stdout.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.strip() for line in lines[-2:]] == ["-> did you mean transport_url?", "2 checks: 2 failed"]
    assert stderr.getvalue() == ""

"""`precache doctor` as a script runs it."""

import io
import json
import logging

import pytest

from precache.cli.app import PrecacheApp

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

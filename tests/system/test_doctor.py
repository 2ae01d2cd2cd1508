"""`precache doctor` in front of a real database, broker, Keystone and Glance: all well, each refusing, one silent."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.lab.cloud import Cloud
from tests.lab.mariadb import Mariadb
from tests.lab.precache import PROGRAM, merged
from tests.lab.rabbitmq import RabbitMq
from tests.lab.settings_file import write_settings

pytestmark = [pytest.mark.external, pytest.mark.timeout(300)]  # the first one waits for three servers to start

ALL_ROLES = ("--role", "api", "--role", "conductor", "--role", "compute")


class Operator:
    """Writes the configuration and runs the program. `settings` are those of a deployment that is well."""

    def __init__(self, folder: Path, cloud: Cloud, rabbitmq: RabbitMq, mariadb: Mariadb) -> None:
        self._file = folder / "precache.conf"
        instances = folder / "instances"
        instances.mkdir()
        login = cloud.keystone.login(cloud.precache)
        key = subprocess.run([PROGRAM, "config", "key"], capture_output=True, text=True, check=True).stdout.strip()
        self.bus, self.cell_bus = rabbitmq.fresh_url(), rabbitmq.fresh_url()
        self.settings = {
            "DEFAULT": {"transport_url": self.bus, "instances_path": instances},
            "database": {"connection": mariadb.fresh_url(), "encryption_keys": key},
            "api": {"auth_strategy": "keystone"},
            "keystone_authtoken": login,
            "service_user": login,
            "image_cache": {"owner": "precache"},
        }

    def prepare(self) -> None:
        """Do what has to be done once."""
        self._write(self.settings)
        for words in (("db", "upgrade"), ("cell", "create", "cell1", "--transport-url", self.cell_bus)):
            subprocess.run([PROGRAM, *words, "--config-file", self._file], check=True, capture_output=True)

    def ask_doctor(self, **changes: dict[str, object]) -> tuple[int, dict[str, list[tuple[str, str]]], str]:
        """Return the exit code, (status, what was found) by check, and all that was printed."""
        self._write(merged(self.settings, changes))
        command = [PROGRAM, "doctor", "-f", "json", "--config-file", self._file, *ALL_ROLES]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        found: dict[str, list[tuple[str, str]]] = {}
        for row in json.loads(ran.stdout):
            found.setdefault(row["check"], []).append((row["status"], f"{row['found']}; {row['advice']}"))
        assert ran.stderr == ""
        return ran.returncode, found, ran.stdout

    def _write(self, settings: object) -> None:
        write_settings(self._file, settings)
        self._file.chmod(0o600)


@pytest.fixture
def operator(tmp_path: Path, cloud: Cloud, rabbitmq: RabbitMq, mariadb: Mariadb) -> Operator:
    return Operator(tmp_path, cloud, rabbitmq, mariadb)


def test_a_deployment_that_is_well_passes(operator: Operator) -> None:
    operator.prepare()

    code, found, printed = operator.ask_doctor()

    statuses = {check: {status for status, _ in findings} for check, findings in found.items()}
    # A nova-compute that other tests run on this machine would be a second cleaner of the cache.
    del statuses["cache owner"]
    assert {check for check, seen in statuses.items() if "failed" in seen} == set(), printed
    assert {check for check, seen in statuses.items() if seen == {"ok"}} >= {
        "configuration", "database", "message bus", "cells", "caller identification", "service user", "image service",
        "cell's message bus", "instances", "image cache", "locks", "qemu-img", "decoding",
    }  # fmt: skip
    assert statuses["computes"] == {"warning"}
    assert "its roles: admin" in found["service user"][0][1]
    assert (code == 8) is (found["cache owner"][0][0] == "failed")
    assert "hush-hush" not in printed


def test_wrong_passwords_are_each_distinguished_and_never_shown(operator: Operator) -> None:
    operator.prepare()
    wrong = "wr0ng-secret"
    database = str(operator.settings["database"]["connection"]).replace("hush-hush", wrong)

    code, found, printed = operator.ask_doctor(
        DEFAULT={"transport_url": operator.bus.replace("hush-hush", wrong)},
        database={"connection": database},
        service_user={"password": wrong},
        keystone_authtoken={"password": wrong},
    )

    assert code == 8
    for check, told in {
        "database": "Access denied",
        "message bus": "refuses the user or the password",
        "cell's message bus": "refuses the user or the password",
        "service user": "refuses the user or the password in [service_user]",
        "caller identification": "refuses the user or the password in [keystone_authtoken]",
        "image service": "Keystone refuses",
    }.items():
        assert found[check][0][0] == "failed", check
        assert told in found[check][0][1], check
    assert found["cells"][0][0] == "skipped"
    assert wrong not in printed


def test_what_was_never_set_up_is_named_with_the_command(operator: Operator, cloud: Cloud) -> None:
    weak = cloud.keystone.login(cloud.reader)

    code, found, _ = operator.ask_doctor(
        DEFAULT={"transport_url": operator.bus + "-nowhere"},
        glance={"endpoint_override": "http://127.0.0.1:9"},
        keystone_authtoken=weak,
    )

    assert code == 8
    assert "precache db upgrade" in found["database"][0][1]
    assert "virtual host does not exist" in found["message bus"][0][1]
    assert "Connection refused" in found["image service"][0][1]
    assert [status for status, _ in found["caller identification"]] == ["ok", "warning"]


def test_a_silent_database_does_not_delay_other_checks(operator: Operator, mariadb: Mariadb) -> None:
    operator.prepare()

    with mariadb.paused():
        code, found, _ = operator.ask_doctor()

    assert code == 8
    assert found["database"][0][0] == "failed"
    assert (found["message bus"][0][0], found["service user"][0][0]) == ("ok", "ok")

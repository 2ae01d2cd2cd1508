"""`precache swarm authority ...`, run as the program runs it."""

import io
import json
from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet

from precache.adapters.sql import open_database, upgrade
from precache.adapters.swarm_authority import AuthorityKey, SqlAuthorityKeys
from precache.cli.app import PrecacheApp

OLD_KEY, NEW_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'precache.sqlite'}")
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def run(database, tmp_path):
    def run_it(*words, keys=OLD_KEY):
        config = tmp_path / "precache.conf"
        place = tmp_path / "precache.sqlite"
        config.write_text(f"[database]\nconnection = sqlite:///{place}\nencryption_keys = {keys}\n")
        stdout, stderr = io.StringIO(), io.StringIO()
        app = PrecacheApp(environ={}, stdout=stdout, stderr=stderr)
        code = app.run(["swarm", "authority", *words, "--config-file", str(config)])
        return code, stdout.getvalue(), stderr.getvalue()

    return run_it


def states(run, keys=OLD_KEY):
    code, shown, _told = run("show", "-f", "json", keys=keys)
    assert code == 0
    return [each["state"] for each in json.loads(shown)]


def test_a_key_is_renewed_without_an_interruption(run):
    assert states(run) == []
    assert run("renew")[0] == 0
    assert states(run) == ["signs"]

    code, _shown, told = run("renew")

    assert (code, states(run)) == (0, ["signs", "will sign"])
    assert "signs from" in told
    assert run("renew")[2] == told
    assert states(run) == ["signs", "will sign"]


def test_without_a_database_the_embedded_service_is_mentioned(tmp_path):
    config, stderr = tmp_path / "empty.conf", io.StringIO()
    config.write_text("[DEFAULT]\n")
    app = PrecacheApp(environ={}, stdout=io.StringIO(), stderr=stderr)

    code = app.run(["swarm", "authority", "show", "--config-file", str(config)])

    assert (code, "`precache serve all` stores no key" in stderr.getvalue()) == (2, True)


def test_a_key_that_is_replaced_at_once_is_the_only_one(run, database):
    SqlAuthorityKeys(database=database, keys=[OLD_KEY]).add_first(AuthorityKey.create(now=datetime.now(UTC)))

    code, _shown, told = run("show", keys=NEW_KEY)
    assert code != 0
    assert "The key of the swarm's authority cannot be decrypted" in told
    code, _shown, told = run("renew", "--at-once", keys=NEW_KEY)

    assert (code, states(run, NEW_KEY)) == (0, ["signs"])
    assert "restart the computes" in told


def test_keys_are_encrypted_again_for_a_change_of_the_encryption_key(run):
    run("renew")

    assert run("encrypt", keys=f"{NEW_KEY},{OLD_KEY}") == (0, "", "1 key was encrypted again.\n")

    assert states(run, NEW_KEY) == ["signs"]

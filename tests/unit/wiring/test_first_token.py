"""Credentials that Keystone refuses are told when a process starts, not only by the first task that needs them."""

import logging
import threading

import pytest

from precache.config.load import load_config
from precache.wiring.compute_process import ComputeProcess
from precache.wiring.service_user import service_session, warn_if_refused
from tests.unit.adapters.stub_keystone import PASSWORD, StubKeystone


@pytest.fixture
def keystone():
    played = StubKeystone()
    yield played
    played.stop()


def config(directory, auth_url, password):
    file = directory / "precache.conf"
    file.write_text(
        f"[DEFAULT]\nhost = cmp-1\ninstances_path = {directory}\ntransport_url = rabbit://127.0.0.1:1/cell1\n"
        f"[service_user]\nauth_type = password\nauth_url = {auth_url}\nusername = precache\npassword = {password}\n"
        "user_domain_id = default\nproject_name = service\nproject_domain_id = default\n"
    )
    return load_config([file])


def warnings(caplog):
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name == "precache.wiring.service_user"
    ]


def test_a_compute_warns_once_of_a_wrong_password_and_starts(tmp_path, keystone, caplog):
    process = ComputeProcess(config=config(tmp_path, keystone.url, "wr0ng"))

    assert process.start() == "cmp-1"
    for thread in threading.enumerate():
        if thread.name == "first-token":
            thread.join(20)
    process.stop()

    (told,) = warnings(caplog)
    assert "Keystone refuses the credentials in [service_user]; correct its user, password" in told
    assert "wr0ng" not in caplog.text


@pytest.mark.parametrize("case", ["known", "Keystone is away", "no credentials"])
def test_where_nothing_is_refused_nothing_is_said(tmp_path, keystone, caplog, case):
    if case == "no credentials":
        settings = load_config([])
    else:
        settings = config(tmp_path, keystone.url if case == "known" else "http://127.0.0.1:9", PASSWORD)

    thread = warn_if_refused(service_session(settings))
    thread.join(20)

    assert not thread.is_alive()
    assert warnings(caplog) == []

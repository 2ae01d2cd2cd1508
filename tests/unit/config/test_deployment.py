"""The sections that only a deployment of several processes has."""

from datetime import timedelta
from pathlib import Path

import pytest
from oslo_config import cfg

from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration


def written(directory: Path, text: str) -> list[Path]:
    file = directory / "precache.conf"
    file.write_text(text)
    return [file]


SECRETS = """
[DEFAULT]
transport_url = rabbit://precache:hidden1@rabbit:5672/cell1
[database]
connection = mysql+pymysql://precache:hidden2@db/precache
encryption_keys = hidden3,hidden4
[notifications]
transport_urls = rabbit://nova:hidden5@rabbit:5672/
[glance]
auth_token = hidden6
endpoint_override = https://images:9292
"""


def test_timeouts_are_novas():
    bus = load_config([]).bus

    assert bus.long_rpc_timeout == timedelta(minutes=30)
    assert bus.call_monitor_timeout == timedelta(minutes=1)


def test_what_is_read_is_there_and_its_representation_shows_no_secret(tmp_path):
    config = load_config(written(tmp_path, SECRETS))

    assert config.bus.require_transport_url().endswith("/cell1")
    assert config.database.require_connection().endswith("/precache")
    assert config.database.encryption_keys == ("hidden3", "hidden4")
    assert config.notifications.transport_urls == ("rabbit://nova:hidden5@rabbit:5672/",)
    assert config.glance.auth_token == "hidden6"
    assert "hidden" not in repr(config)


R1, R2 = "rabbit://u:p@r1:5672,u:p@r2:5672/vh", "rabbit://u:p@r3:5672,u:p@[::1]:5672/"


@pytest.mark.parametrize(
    ("written_as", "urls"),
    [
        (R1, (R1,)),
        (f'"{R1}"', (R1,)),
        (f"{R1},{R2}", (R1, R2)),
        (f"{R1} , {R2},", (R1, R2)),
        (f"{R1},\n  {R2}", (R1, R2)),
        (f"{R1}\n  {R2}", (R1, R2)),
        (f'"{R1}", "{R2}"', (R1, R2)),
        (f"{R1}?ssl=true,{R2}", (f"{R1}?ssl=true", R2)),
        ("", ()),
        (" , ", ()),
    ],
)
def test_a_bus_for_notifications_may_have_several_brokers(tmp_path, written_as, urls):
    config = load_config(written(tmp_path, f"[notifications]\ntransport_urls = {written_as}\n"))

    assert config.notifications.transport_urls == urls


def test_buses_for_notifications_can_be_in_the_environment(monkeypatch):
    monkeypatch.setenv("OS_NOTIFICATIONS__TRANSPORT_URLS", f"{R1},{R2}")

    assert load_config([]).notifications.transport_urls == (R1, R2)


def test_the_bus_of_a_process_may_have_several_brokers(tmp_path):
    assert load_config(written(tmp_path, f"[DEFAULT]\ntransport_url = {R1}\n")).bus.transport_url == R1


def test_what_a_process_cannot_do_without_is_named_when_it_is_missed():
    config = load_config([])

    with pytest.raises(InvalidConfiguration, match=r"\[DEFAULT\] transport_url is not set"):
        config.bus.require_transport_url()
    with pytest.raises(InvalidConfiguration, match=r"\[database\] connection is not set"):
        config.database.require_connection()


def test_libraries_find_their_own_sections_and_no_others_registered(tmp_path):
    conf = load_config(written(tmp_path, "[oslo_messaging_rabbit]\nheartbeat_rate = 3\n")).oslo

    assert "transport_url" not in conf
    conf.register_opt(cfg.IntOpt("heartbeat_rate"), group="oslo_messaging_rabbit")
    assert conf.oslo_messaging_rabbit.heartbeat_rate == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[DEFAULT]\ncall_monitor_timeout = 100\nlong_rpc_timeout = 50\n",
            "call_monitor_timeout (100 s) must not be longer than long_rpc_timeout (50 s)",
        ),
        ("[upgrade_levels]\ncompute = auto\n", "[upgrade_levels] compute must be a version such as 1.0, not 'auto'"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, told):
    with pytest.raises(InvalidConfiguration) as refused:
        load_config(written(tmp_path, text))

    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[api]\ncert_file = /etc/precache/server.pem", "cert_file is set without key_file"),
        ("[api]\nkey_file = /etc/precache/server.key", "key_file is set without cert_file"),
        ("[glance]\nauth_token = hidden", r"auth_token needs \[glance\] endpoint_override"),
        (
            "[glance]\nauth_token = hidden\nendpoint_override = https://a:9292,http://b:9292",
            "auth_token would be sent unencrypted to http://b:9292",
        ),
    ],
)
def test_tokens_and_tls_by_halves_are_refused(tmp_path, text, reason):
    with pytest.raises(InvalidConfiguration, match=reason) as caught:
        load_config(written(tmp_path, text))

    assert "hidden" not in str(caught.value)

"""What the embedded service refuses before it starts anything."""

import pytest

from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration
from precache.rules.listen_address import ListenAddress
from precache.wiring.embedded_process import EmbeddedOptions, EmbeddedProcess
from precache.wiring.host_names import EmbeddedHost
from precache.wiring.state_dir import StateDir


def service(tmp_path, *, host="127.0.0.1", driver="fake", name="cmp-1") -> EmbeddedProcess:
    embedding = EmbeddedOptions(
        StateDir(tmp_path / "state"), ListenAddress(host, 0), (EmbeddedHost("cell1", name, driver),), tmp_path
    )
    return EmbeddedProcess(config=load_config([]), embedding=embedding)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_noauth_is_refused_where_others_can_connect(tmp_path, host):
    with pytest.raises(InvalidConfiguration, match="loopback addresses only"):
        service(tmp_path, host=host)

    assert not (tmp_path / "state").exists()


def test_a_driver_that_is_not_installed_is_named_and_nothing_keeps_running(tmp_path):
    refused = service(tmp_path, driver="hyperdrive")

    with pytest.raises(InvalidConfiguration, match="no virt driver 'hyperdrive'"):
        refused.start()
    refused.stop()

    again = service(tmp_path)  # the state directory and the address are free
    again.start()
    again.stop()


def test_an_invalid_machine_name_is_refused_with_the_option_to_set(tmp_path):
    refused = service(tmp_path, name="zürich")

    with pytest.raises(InvalidConfiguration, match=r"no compute can have the name 'zürich'.*set \[DEFAULT\] host"):
        refused.start()
    refused.stop()


def test_stopping_twice_does_nothing_more(tmp_path):
    running = service(tmp_path)
    running.start()

    running.stop()
    running.stop()

"""What the embedded service refuses before it starts anything, and which image service it offers."""

import pytest
import requests

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


@pytest.mark.parametrize("option", ["precache_images = some", "precache_projects = p1"])
def test_what_images_of_files_cannot_have_is_no_condition(tmp_path, option):
    file = tmp_path / "precache.conf"
    file.write_text(f"[image_cache]\n{option}\n")
    embedding = EmbeddedOptions(StateDir(tmp_path / "state"), ListenAddress("127.0.0.1", 0), (), tmp_path)

    with pytest.raises(InvalidConfiguration, match=r"embedded one has none; set .*endpoint_override"):
        EmbeddedProcess(config=load_config([file]), embedding=embedding)


def test_options_of_swarms_that_it_does_not_use_are_named(tmp_path, caplog):
    file = tmp_path / "precache.conf"
    file.write_text("[swarm]\nports = 28785-28799\nlisten_address = ::1\nserve_s = 20\n")
    embedding = EmbeddedOptions(StateDir(tmp_path / "state"), ListenAddress("127.0.0.1", 0), (), tmp_path)
    running = EmbeddedProcess(config=load_config([file]), embedding=embedding)

    running.start()
    running.stop()

    [told] = [record.getMessage() for record in caplog.records if "not used by" in record.getMessage()]
    assert told.startswith("[swarm] listen_address, ports: not used by `precache serve all`")


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


def test_with_another_image_service_its_own_refers_to_that_one(tmp_path):
    file = tmp_path / "precache.conf"
    file.write_text("[image_cache]\nowner = precache\n[glance]\nendpoint_override = http://glance:9292\n")
    state = StateDir(tmp_path / "state")
    embedding = EmbeddedOptions(
        state, ListenAddress("127.0.0.1", 0), (EmbeddedHost("cell1", "cmp-1", "fake"),), state.default_images
    )
    running = EmbeddedProcess(config=load_config([file]), embedding=embedding)
    url = running.start()

    try:
        for path in ("/image/v2/images", "/image/v2/images/7c7b28d3-6f2c-5185-a987-bec78bc76920"):
            answer = requests.get(url + path, headers={"Accept": "application/json"}, timeout=30)
            assert answer.status_code == 421
            assert "uses the image service at http://glance:9292;" in answer.json()["message"]
    finally:
        running.stop()

    assert not state.default_images.exists()

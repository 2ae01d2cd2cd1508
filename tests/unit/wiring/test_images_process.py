"""Where the image service of a fleet, and an API with tokens, may not be started."""

import pytest

from precache.adapters.sql import open_database, upgrade
from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration, SchemaOutdated
from precache.rules.listen_address import ListenAddress
from precache.wiring.api_process import ApiProcess
from precache.wiring.images_process import ImageServiceOptions, ImagesProcess
from precache.wiring.state_dir import StateDir

HERE, THERE = ListenAddress("127.0.0.1", 0), ListenAddress("192.0.2.7", 9292)
TOKEN = "[api]\nauth_strategy = token\n"


@pytest.fixture
def configured(tmp_path):
    def configure(text):
        file = tmp_path / "precache.conf"
        file.write_text(f"{text}\n[database]\nconnection = sqlite:///{tmp_path}/precache.sqlite\n")
        return load_config([file])

    return configure


@pytest.fixture
def serving(tmp_path):
    (tmp_path / "images").mkdir()

    def at(address):
        return ImageServiceOptions(tmp_path / "images", StateDir(tmp_path / "state"), address, threads=1)

    return at


@pytest.mark.parametrize(
    ("text", "address", "reason"),
    [
        ("", HERE, "knows no Keystone: set .* to token"),
        ("[api]\nauth_strategy = keystone", HERE, "where there is a Keystone, use Glance"),
        ("[api]\nauth_strategy = noauth", THERE, "loopback addresses only"),
        (TOKEN, THERE, "without TLS would show every token to the network of 192.0.2.7"),
    ],
)
def test_an_image_service_that_could_let_anyone_in_is_refused(configured, serving, text, address, reason):
    with pytest.raises(InvalidConfiguration, match=reason):
        ImagesProcess(config=configured(text), serving=serving(address))


def test_tokens_need_a_database_with_their_table(configured, serving):
    process = ImagesProcess(config=configured(TOKEN), serving=serving(HERE))

    with pytest.raises(SchemaOutdated, match="precache db upgrade"):
        process.start()
    process.stop()


def test_an_api_with_tokens_is_refused_without_tls(configured):
    with pytest.raises(InvalidConfiguration, match="without TLS would show every token"):
        ApiProcess(config=configured(TOKEN), address=THERE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"needs \[glance\] endpoint_override"),
        ("[glance]\nendpoint_override = http://images:9292", "unencrypted to http://images:9292"),
        ("cert_file = /nowhere/cert\nkey_file = /nowhere/key", "cannot be read: No such file"),
    ],
)
def test_an_api_with_tokens_needs_an_image_service_that_it_can_send_them_to(configured, tmp_path, text, reason):
    if "cert_file" in text:
        text += "\n[glance]\nendpoint_override = https://images:9292"
    process = ApiProcess(config=configured(TOKEN + text), address=HERE)
    database = open_database(f"sqlite:///{tmp_path}/precache.sqlite")
    upgrade(database)
    database.close()

    with pytest.raises(InvalidConfiguration, match=reason):
        process.start()
    process.stop()

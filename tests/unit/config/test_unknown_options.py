"""Options that do not exist are found; those whose name is nearly right stop the start."""

import pytest

from precache.config.load import find_unknown_options, load_config
from precache.core.errors import InvalidConfiguration


@pytest.fixture
def written(tmp_path):
    """Return a function from the text of a file to a list of that one file."""

    def write(text):
        file = tmp_path / "precache.conf"
        file.write_text(text)
        return [file]

    return write


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[DEFAULT]\ntranport_url = rabbit://u:hush@h/\n", "[DEFAULT] tranport_url in {file}: there is no such option; "
         "did you mean transport_url?"),
        ("[imagecache]\nowner = precache\n", "[imagecache] in {file}: there is no such section; did you mean "
         "[image_cache]?"),
        ("[database]\nconection = sqlite:////x\n", "did you mean connection?"),
        ("[oslo_messaging_rabbit]\nssl_ca_fil = /x\n", "did you mean ssl_ca_file?"),
        ("[service_user]\nauth_type = password\nauth_ulr = http://k\n", "did you mean auth_url?"),
        ("[keystone_authtoken]\nauth_section = creds\n[creds]\nusernme = x\n", "did you mean username?"),
        ("[DEFAULT]\nuse_jsn = true\n", "did you mean use_json?"),
        ("[barbican]\nbarbican_endpiont = http://b\n", "did you mean barbican_endpoint?"),
        ("[image-cachee]\nowner = nova\n", "did you mean [image_cache]?"),
    ],
)  # fmt: skip
def test_a_misspelt_name_stops_the_start_and_names_the_right_one(written, text, told):
    files = written(text)

    with pytest.raises(InvalidConfiguration) as refused:
        load_config(files)

    assert told.format(file=files[0]) in str(refused.value)
    assert "hush" not in str(refused.value)


def test_several_misspelt_names_are_counted(written):
    with pytest.raises(InvalidConfiguration, match="and 1 more; `precache doctor` lists them"):
        load_config(written("[DEFAULT]\ntranport_url = x\ninstance_path = /x\n"))


def test_what_a_library_or_another_section_reads_is_known(written):
    files = written(
        "[DEFAULT]\nuse_json = true\nlog-dir = /x\nrpc_response_timeout = 3\ntransport_url = rabbit://h/\n"
        "[oslo_messaging_rabbit]\nheartbeat_rate = 3\nkombu_reconnect_delay = 2\n"
        "[keystone_authtoken]\nauth_section = creds\nmemcached_servers = m:1\nwww_authenticate_uri = http://k\n"
        "[creds]\nauth_type = v3applicationcredential\nauth_url = http://k\n"
        "[key_manager]\nbackend = barbican\n[barbican]\nbarbican_endpoint = http://b\nnumber_of_retries = 3\n"
        "[barbican_service_user]\nauth_type = password\nusername = nova\n[vault]\nvault_url = http://v\n"
        "[creds]\n"
        "application_credential_id = a\napplication_credential_secret = b\ncafile = /x\n"
    )

    assert find_unknown_options(files) == []


def test_what_only_nova_reads_does_not_stop_the_start_but_is_listed(written):
    files = written("[DEFAULT]\nmy_ip = 10.0.0.1\n[libvirt]\ncpu_mode = none\n[neutron]\nauth_type = password\n")

    listed = [(entry.section, entry.option) for entry in load_config(files).unknown]

    assert listed == [("DEFAULT", "my_ip"), ("libvirt", "cpu_mode"), ("neutron", None)]


def test_the_misspelt_are_listed_where_that_is_asked_for(written):
    config = load_config(written("[DEFAULT]\ntranport_url = x\n"), refuse_misspelt=False)

    assert [entry.advice for entry in config.unknown] == ["did you mean transport_url?"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("OS_DATABASE__CONECTION", "did you mean OS_DATABASE__CONNECTION?"),
        ("OS_DATABSE__CONNECTION", "did you mean OS_DATABASE__?"),
    ],
)
def test_a_misspelt_variable_stops_the_start(monkeypatch, name, told):
    monkeypatch.setenv(name, "sqlite:////x")

    with pytest.raises(InvalidConfiguration) as refused:
        load_config([])

    assert name in str(refused.value)
    assert told in str(refused.value)


def test_variables_of_other_programs_are_left_alone(monkeypatch):
    monkeypatch.setenv("OS_USERNAME", "admin")
    monkeypatch.setenv("OS_KEYSTONE_FERNET__MAX_ACTIVE_KEYS", "3")

    assert load_config([]).unknown == ()

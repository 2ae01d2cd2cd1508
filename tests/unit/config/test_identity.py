"""What an operator writes about credentials, and what becomes of it."""

from datetime import timedelta
from pathlib import Path

import pytest
from keystoneauth1.identity import V3ApplicationCredential
from keystoneauth1.identity.generic import Password
from oslo_config import cfg

from precache.config import identity
from precache.core.errors import InvalidConfiguration

PASSWORD = "hunter2$swordfish"  # with a sign that oslo.config takes for a reference
COMPLETE = {
    "auth_type": "password",
    "auth_url": "https://keystone.example/v3",
    "username": "precache",
    "password": PASSWORD.replace("$", "$$"),
    "user_domain_name": "Default",
    "project_name": "service",
    "project_domain_name": "Default",
}


def read(directory, options, section=identity.SERVICE_USER):
    file = directory / "precache.conf"
    file.write_text(f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    conf = cfg.ConfigOpts()
    identity.GROUP.register(conf)
    conf([], default_config_files=[str(file)], default_config_dirs=[])
    return conf


def settings(directory, **options):
    return identity.GROUP.read(read(directory, options))


def test_without_an_auth_type_there_are_no_credentials(tmp_path):
    found = settings(tmp_path)

    assert found.auth is None
    assert found.verify is True
    assert found.interfaces == ("internal", "public")
    assert found.timeout == timedelta(seconds=30)


@pytest.mark.parametrize("given", ["auth_url", "username", "password"])
def test_credentials_without_an_auth_type_are_a_slip_and_not_no_credentials(tmp_path, given):
    with pytest.raises(InvalidConfiguration, match=rf"auth_type is missing; set it to password, for which {given} is"):
        settings(tmp_path, **{given: COMPLETE[given]})


def test_complete_credentials_become_a_plugin(tmp_path):
    found = settings(tmp_path, **COMPLETE)

    assert isinstance(found.auth, Password)
    assert found.auth.auth_url == "https://keystone.example/v3"
    assert found.auth._password == PASSWORD


def test_options_of_another_plugin_are_understood(tmp_path):
    found = settings(
        tmp_path,
        auth_type="v3applicationcredential",
        auth_url="https://keystone.example/v3",
        application_credential_id="7f3c",
        application_credential_secret=COMPLETE["password"],
    )

    assert isinstance(found.auth, V3ApplicationCredential)


def test_how_certificates_are_checked(tmp_path):
    authorities = tmp_path / "ca.pem"
    authorities.touch()

    assert settings(tmp_path, cafile=authorities).verify == Path(authorities)
    assert settings(tmp_path, insecure="true").verify is False
    assert settings(tmp_path, certfile=authorities).cert == str(authorities)
    assert settings(tmp_path, certfile=authorities, keyfile=authorities).cert == (str(authorities),) * 2


def test_no_representation_shows_a_secret(tmp_path):
    assert "hunter2" not in repr(settings(tmp_path, **COMPLETE))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (COMPLETE | {"auth_type": "pasword"}, "auth_type: there is no authentication plugin called 'pasword'"),
        (COMPLETE | {"auth_url": ""}, "auth_url is missing; set it to the URL of Keystone"),
        (COMPLETE | {"auth_url": "keystone:5000/hunter2"}, "auth_url is not an http or https URL"),
        (COMPLETE | {"auth_url": "http://a:hunter2@:99999/"}, "auth_url is not an http or https URL"),
        (COMPLETE | {"username": ""}, "username is missing"),
        (COMPLETE | {"password": ""}, "password is missing"),
        (COMPLETE | {"user_domain_name": ""}, "user_domain_name is missing; set it to the user's domain"),
        (COMPLETE | {"project_name": ""}, "project_name is missing"),
        (COMPLETE | {"project_domain_name": ""}, "project_domain_name is missing"),
        (COMPLETE | {"password": PASSWORD}, "password: a $ refers to the value of another option; write $$"),
        (
            {"auth_type": "v3applicationcredential", "auth_url": "http://k/v3"},
            "application_credential_secret is missing",
        ),
        (
            {"auth_type": "v3applicationcredential", "auth_url": "http://k/v3", "application_credential_secret": "x"},
            "application credential ID",
        ),
        ({"auth_type": "v3token"}, "auth_url is missing"),
        ({"insecure": "true", "cafile": "/ca.pem"}, "insecure and cafile contradict each other"),
        ({"keyfile": "/key.pem"}, "keyfile needs a certfile"),
        ({"cafile": "/nowhere/ca.pem"}, "cafile: /nowhere/ca.pem is not a file"),
    ],
)
def test_credentials_that_cannot_work_are_refused_in_one_sentence(tmp_path, options, told):
    with pytest.raises(InvalidConfiguration) as refused:
        settings(tmp_path, **options)

    assert told in str(refused.value)
    assert "[service_user] " in str(refused.value)
    assert not any(part in str(refused.value) for part in ("hunter2", "swordfish"))
    assert "\n" not in str(refused.value)


def test_a_section_may_borrow_the_credentials_of_another(tmp_path):
    conf = read(tmp_path, COMPLETE)
    with (tmp_path / "precache.conf").open("a") as file:
        file.write("[keystone_authtoken]\nauth_section = service_user\n")
    conf.reload_config_files()

    assert isinstance(identity.load_credentials(conf, identity.AUTHTOKEN), Password)


def test_the_middlewares_section_is_in_the_sample_with_its_credentials():
    group, options = identity.authtoken_sample()

    names = {option.dest for option in options}
    assert group.name == identity.AUTHTOKEN
    assert {"www_authenticate_uri", "memcached_servers", "auth_url", "password"} <= names


def test_a_file_of_authorities_that_is_not_there_is_refused_for_the_middleware_as_well(tmp_path):
    conf = read(tmp_path, COMPLETE)
    with (tmp_path / "precache.conf").open("a") as file:
        file.write("[keystone_authtoken]\nauth_section = service_user\ncafile = /nowhere.pem\n")
    conf.reload_config_files()

    with pytest.raises(InvalidConfiguration, match=r"\[keystone_authtoken\] cafile: /nowhere.pem is not a file"):
        identity.require_authtoken(conf)

"""TLS to brokers: options that cannot work are refused before anything is sent, weak ones are named."""

import pytest

from precache.adapters.bus_oslo import open_bus
from precache.adapters.bus_oslo.tls import check_names_by_default, checks_names
from precache.adapters.bus_oslo.url import parse_url
from precache.core.errors import InvalidConfiguration
from tests.contract.buses import new_conf
from tests.lab.certificates import Authority

URL = "rabbit://user:hush-hush@rabbit1:5671/cell1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def test_files_that_can_be_used_are_accepted(authority):
    own = authority.certificate("compute-1")

    bus = open_bus(new_conf(ssl=True, ssl_cert_file=str(own.cert), ssl_key_file=str(own.key)), URL)

    assert bus.place == "rabbit1:5671/cell1"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("ssl_ca_file=/nowhere.pem", r"ssl_ca_file /nowhere\.pem cannot be read: No such file or directory"),
        ("ssl_ca_file={key}", "ssl_ca_file .* holds no certificate or key that can be used"),
        ("ssl_cert_file=/nowhere.pem", "ssl_cert_file /nowhere.pem, .* cannot be read"),
        (
            "ssl_cert_file={cert}&ssl_key_file={other_key}",
            "ssl_cert_file .* ssl_key_file .*: one holds no certificate or key",
        ),
        ("ssl_key_file={key}", "ssl_key_file belongs to an ssl_cert_file"),
        ("ssl_version=TLSv9", "ssl_version is none of TLSv1, "),
    ],
)
def test_files_and_versions_that_cannot_be_used_are_refused_by_name(authority, query, words):
    own, other = authority.certificate("compute-1"), authority.certificate("compute-2")
    query = query.format(cert=own.cert, key=own.key, other_key=other.key)

    with pytest.raises(
        InvalidConfiguration, match=rf"rabbit1:5671/cell1 .*\[oslo_messaging_rabbit\] {words}"
    ) as caught:
        open_bus(new_conf(), f"{URL}?ssl=1&{query}")

    assert "hush" not in str(caught.value)


def test_files_of_a_bus_without_tls_are_not_looked_at():
    assert open_bus(new_conf(ssl_cert_file="/nowhere.pem"), URL).tls_weakness is None


@pytest.mark.parametrize(
    ("query", "doubt"),
    [
        ("ssl=1", "the certificate may belong to any server: without ssl_ca_file"),
        ("ssl_ca_file=/etc/authority.pem", "TLS is not used although ssl_ca_file is set"),
        ("ssl=0&ssl_ca_file=/etc/authority.pem", "TLS is not used although ssl_ca_file is set"),
    ],
)
def test_less_tls_than_it_looks_like_is_named(query, doubt):
    found, advice = open_bus(new_conf(), f"{URL}?{query}").tls_weakness

    assert found.startswith(doubt)
    assert "[oslo_messaging_rabbit]" in advice


@pytest.mark.parametrize("chosen", [None, True, False])
def test_names_are_checked_unless_the_operator_has_chosen_otherwise(authority, chosen):
    conf = new_conf(ssl=True, ssl_ca_file=str(authority.cafile))
    if not checks_names(conf):  # an old one
        assert "does not check the name" in open_bus(conf, URL).tls_weakness[0]
        return
    if chosen is not None:
        conf.set_override("ssl_enforce_hostname_verification", chosen, group="oslo_messaging_rabbit")
    url = parse_url(conf, URL)

    check_names_by_default(conf, url)

    assert url.query.get("ssl_enforce_hostname_verification") == ("true" if chosen is None else None)
    assert (open_bus(conf, URL).tls_weakness is None) == (chosen is not False)

"""Whose hosts and aggregates are used, as an operator writes it."""

from datetime import timedelta

import pytest
from oslo_config import cfg

from precache.config import inventory
from precache.core.errors import InvalidConfiguration


def read(directory, text):
    """Parse the two groups alone."""
    file = directory / "precache.conf"
    file.write_text(text)
    conf = cfg.ConfigOpts()
    for group in (inventory.GROUP, inventory.NOVA_GROUP):
        group.register(conf)
    conf([], default_config_files=[str(file)], default_config_dirs=[])
    return inventory.GROUP.read(conf), inventory.NOVA_GROUP.read(conf)


def test_hosts_and_aggregates_are_our_own_unless_nova_is_named(tmp_path):
    ours, _ = read(tmp_path, "")
    novas, _ = read(tmp_path, "[inventory]\nsource = nova\n")

    assert not ours.is_from_nova
    assert novas.is_from_nova


def test_nova_is_found_where_the_service_user_finds_everything_by_default(tmp_path):
    _, nova = read(tmp_path, "")

    assert (nova.endpoint_override, nova.region_name, nova.valid_interfaces) == (None, None, ())
    assert nova.cache_time == timedelta(seconds=3)


def test_everything_about_nova_can_be_said(tmp_path):
    _, nova = read(
        tmp_path,
        "[nova]\nendpoint_override = https://nova/v2.1\nregion_name = north\nvalid_interfaces = admin,internal\n"
        "cache_time = 0\nconnect_timeout = 1\nread_timeout = 2\n",
    )

    assert nova == inventory.NovaSettings(
        "https://nova/v2.1", "north", ("admin", "internal"), timedelta(), timedelta(seconds=1), timedelta(seconds=2)
    )


def test_an_endpoint_that_is_no_url_is_refused(tmp_path):
    with pytest.raises(InvalidConfiguration, match="must begin with http:// or https://"):
        read(tmp_path, "[nova]\nendpoint_override = controller:8774\n")


@pytest.mark.parametrize("text", ["[inventory]\nsource = ldap\n", "[nova]\nvalid_interfaces = private\n"])
def test_an_unknown_source_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"Valid values are|private"):
        read(tmp_path, text)

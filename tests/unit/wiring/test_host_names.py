"""How hosts are named on the command line."""

import pytest

from precache.core.errors import InvalidConfiguration
from precache.wiring.host_names import EmbeddedHost, parse_hosts


def test_hosts_are_read_with_their_cell_and_driver():
    hosts = parse_hosts("cell1:cmp-1, cell1:cmp-2,edge.north:_cmp_3:uncached,")

    assert hosts == [
        EmbeddedHost("cell1", "cmp-1", "libvirt"),
        EmbeddedHost("cell1", "cmp-2", "libvirt"),
        EmbeddedHost("edge.north", "_cmp_3", "uncached"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", ",", "cmp-1", "a:b:c:d", "cell1:", ":cmp-1", "cell1:../../etc", "cell1:a/b", "cell1:..", "cell1:.", "c:a b"],
)
def test_what_cannot_be_a_host_is_refused(text):
    with pytest.raises(InvalidConfiguration, match="--hosts"):
        parse_hosts(text)


def test_a_host_named_twice_is_refused():
    with pytest.raises(InvalidConfiguration, match="names cmp-1 twice"):
        parse_hosts("cell1:cmp-1,cell2:cmp-1")

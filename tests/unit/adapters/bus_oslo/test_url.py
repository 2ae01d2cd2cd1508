"""Transport URLs: what is understood, what is shown of them, what is refused without being quoted."""

import pytest

from precache.adapters.bus_oslo import bus_place, open_bus
from precache.core.errors import InvalidConfiguration
from tests.contract.buses import new_conf


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("rabbit://user:hush-hush@rabbit1:5673/cell1", "rabbit1:5673/cell1"),
        ("rabbit://user:hush-hush@rabbit1/", "rabbit1:5672/"),
        ("rabbit://user:hush-hush@rabbit1", "rabbit1:5672/"),
        ("rabbit://user:hush%40%3A%3F%23%25hush@rabbit1:5672/cell1", "rabbit1:5672/cell1"),
        ("rabbit://u:hush-hush@rabbit1:1,u:hush-hush@rabbit2:2/cell1", "rabbit1:1,rabbit2:2/cell1"),
        ("rabbit://user:hush-hush@[::1]:5672/cell1", "[::1]:5672/cell1"),
        ("rabbit://user:hush-hush@rabbit1:5672/cell1?rpc_conn_pool_size=5", "rabbit1:5672/cell1"),
        ("rabbit://user:hush-hush@rabbit1:5672/cell1?ssl=1", "rabbit1:5672/cell1"),
    ],
)
def test_what_is_shown_of_a_url_holds_no_user_and_no_password(url, place):
    bus = open_bus(new_conf(), url)

    assert bus.place == bus_place(new_conf(), url) == place
    assert "hush" not in repr(bus)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hush-hush",
        "rabbit:hush-hush",
        "rabbit://",
        "rabbit:///hush-hush",
        "rabbit://user:hush-hush@",
        "rabbit://user:hush-hush@rabbit1:port/",
        "rabbit://user:hush-hush@rabbit1:99999999/",
        "rabbit://user:hush/hush@rabbit1:5672/cell1",
        "rabbit://user:hush#hush@rabbit1:5672/cell1",
        "rabbit://user:hush?hush@rabbit1:5672/cell1",
        "rabbit://user:hush%2Fhush@rabbit1:5672/cell1",
        "rabbit://hush%2Fhush:word@rabbit1:5672/cell1",
        "rabbit://user:hush,hush@rabbit1:5672/cell1",
        "rabbit://user:pass@hush,word@rabbit1:5672/cell1",
        "rabbit://user:hush-hush@[rabbit1:5672/",
        "amqp://user:hush-hush@rabbit1:5672/",
        "kafka://user:hush-hush@rabbit1:5672/",
        "fake:///hush-hush",
        "rabbit://user:hush-hush@rabbit1:5672/cell1?no_such_option=hush-hush",
        "rabbit://user:hush-hush@rabbit1:5672/cell1?rpc_conn_pool_size=hush-hush",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_and_not_quoted(url):
    with pytest.raises(InvalidConfiguration) as caught:
        open_bus(new_conf(), url)

    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_options_of_the_library_that_contradict_each_other_are_refused():
    with pytest.raises(InvalidConfiguration, match="conn_pool_min_size"):
        open_bus(new_conf(rpc_conn_pool_size=1), "rabbit://user:hush-hush@rabbit1/")

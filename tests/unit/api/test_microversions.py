import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.api.microversions import MAX, MIN, Microversion, requested
from precache.api.refusals import MalformedVersion


def header(name_to_value):
    lowered = {name.lower(): value for name, value in name_to_value.items()}
    return lambda name: lowered.get(name.lower())


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, None),
        ({"OpenStack-API-Version": "compute 2.81"}, "2.81"),
        ({"OpenStack-API-Version": "COMPUTE   2.81 "}, "2.81"),
        ({"OpenStack-API-Version": "compute 2.1, compute 2.81"}, "2.81"),
        ({"OpenStack-API-Version": "compute 2.81, volume 3.0"}, "2.81"),
        ({"OpenStack-API-Version": "volume 3.0"}, None),
        ({"OpenStack-API-Version": "compute-precache 2.81"}, "2.81"),
        ({"OpenStack-API-Version": "compute"}, None),
        ({"OpenStack-API-Version": ""}, None),
        ({"OpenStack-API-Version": "compute latest"}, "latest"),
        ({"X-OpenStack-Nova-API-Version": "2.96"}, "2.96"),
        ({"X-OpenStack-Nova-API-Version": "2.1, 2.96"}, "2.96"),
        ({"OpenStack-API-Version": "volume 3.0", "X-OpenStack-Nova-API-Version": "2.96"}, "2.96"),
        ({"OpenStack-API-Version": "compute 2.81", "X-OpenStack-Nova-API-Version": "2.96"}, "2.81"),
    ],
)
def test_version_is_found_in_either_header(sent, expected):
    assert requested(header(sent)) == expected


@pytest.mark.parametrize(
    "text", ["", "2", "2.", ".81", "2.81.1", "02.81", "2.081", "v2.81", "2.8a", "2.-1", "2." + "9" * 99]
)
def test_version_of_another_form_is_refused(text):
    with pytest.raises(MalformedVersion, match="is of invalid format"):
        Microversion.parse(text)


@given(st.tuples(st.integers(1, 99), st.integers(0, 9999)), st.tuples(st.integers(1, 99), st.integers(0, 9999)))
def test_versions_are_compared_as_numbers(left, right):
    first, second = (Microversion.parse(f"{major}.{minor}") for major, minor in (left, right))

    assert (first < second) == (left < right)


def test_newest_is_at_least_what_stock_clients_ask_for():
    assert Microversion(2, 1) == MIN
    assert Microversion(2, 96) <= MAX

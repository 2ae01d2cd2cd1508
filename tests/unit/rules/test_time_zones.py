"""Names of time zones."""

import pytest

from precache.core.errors import InvalidOption
from precache.rules.time_zones import check_time_zone


@pytest.mark.parametrize("name", ["Europe/Paris", "UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "US/Pacific"])
def test_names_of_the_database_are_known(name):
    check_time_zone("window.time_zone", name)


@pytest.mark.parametrize("name", ["Europe/Pari", "europe/paris", "Paris/Europe/Paris"])
def test_a_similar_name_is_suggested(name):
    with pytest.raises(InvalidOption) as refused:
        check_time_zone("window.time_zone", name)

    assert str(refused.value) == f"window.time_zone must be the name of a time zone, such as Europe/Paris, not {name!r}"


@pytest.mark.parametrize(
    "name",
    [
        *("", "Europe", "CEST+1", "../../etc/passwd", "/etc/localtime", "x" * 300, "a\0b"),
        *("localtime", "posixrules", "Factory", "posix/Europe/Paris", "right/Europe/Paris"),
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(InvalidOption, match="must be the name of a time zone"):
        check_time_zone("window.time_zone", name)

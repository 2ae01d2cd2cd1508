"""No warning and no failure without what to do about it."""

import inspect

import pytest

from precache.core import errors
from precache.core.errors import (
    BusUnavailable,
    InvalidConfiguration,
    InventoryUnavailable,
    PrecacheError,
    SchemaOutdated,
    SecretUnreadable,
    StoreUnavailable,
)
from precache.doctor.findings import Finding, Status, failed, failure, ok, skipped, warning


@pytest.mark.parametrize("make", [warning, failed])
def test_a_finding_without_advice_is_refused(make):
    for advice in ("", " "):
        with pytest.raises(ValueError, match="says what to do: it is broken"):
            make("it is broken", advice)


def test_what_is_well_or_does_not_concern_anybody_needs_no_advice():
    assert (ok("well").advice, skipped("not used").advice) == ("", "")


ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PrecacheError)]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_becomes_a_finding_with_advice(kind):
    error = kind.__new__(kind)  # without its own fields, which differ
    PrecacheError.__init__(error, "something is wrong")

    finding = failure(error)

    assert (finding.status, finding.found) == (Status.FAILED, "something is wrong")
    assert finding.advice


def test_what_an_error_says_to_do_is_the_advice():
    assert failure(InvalidConfiguration("[a] b is not set; give a number; 3 is usual")) == Finding(
        Status.FAILED, "Invalid configuration: [a] b is not set", "give a number; 3 is usual"
    )
    assert failure(BusUnavailable("rabbit1:5672/x", "no route to the broker")).advice.startswith(
        "check that the broker"
    )


def test_a_catalogue_without_nova_says_what_to_set():
    error = InventoryUnavailable("(from the catalogue)", "the catalogue has no compute service; set [nova] x")

    assert failure(error).advice == "set [nova] x"


def test_what_a_librarys_message_has_behind_a_semicolon_is_no_advice():
    finding = failure(StoreUnavailable("the server says: no; never"))

    assert finding.found.endswith("no; never")
    assert "[database] connection" in finding.advice


def test_an_old_schema_says_the_command_with_its_files():
    error = SchemaOutdated("db/precache", None, "0003", "precache db upgrade --config-file /x")

    assert failure(error).advice == "run `precache db upgrade --config-file /x`"


def test_an_unreadable_secret_can_be_entered_again():
    assert "precache cell set" in failure(SecretUnreadable("The transport URL of cell c1")).advice

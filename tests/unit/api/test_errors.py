import inspect
import re

import pytest

from precache.api import refusals
from precache.api.errors import ERRORS, fault_of, nova_body
from precache.core import errors


def kinds(module):
    return [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, errors.PrecacheError)]


@pytest.mark.parametrize("kind", [kind for kind in kinds(refusals) if kind.__module__ == refusals.__name__])
def test_every_refusal_of_the_api_has_a_line_of_its_own(kind):
    assert kind in ERRORS


@pytest.mark.parametrize("kind", ERRORS)
def test_codes_are_words_with_dots(kind):
    assert re.fullmatch(r"precache(\.[a-z_]+)+", ERRORS[kind].code)


def test_one_code_always_comes_with_one_status_but_for_conflicts_of_zones():
    statuses = {}
    for fault in ERRORS.values():
        statuses.setdefault(fault.code, set()).add(fault.status)

    assert {code for code, seen in statuses.items() if len(seen) > 1} == {"precache.aggregate.zone_conflict"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.AggregateNotFound(1), 404, "precache.aggregate.not_found"),
        (errors.LeaseLost("job", "owner"), 409, "precache.conflict"),
        (errors.TransferInterrupted("image", 1, 2, "reset"), 503, "precache.unavailable"),
        (errors.StoreUnavailable("away"), 503, "precache.store.unavailable"),
        (errors.InventoryUnavailable("http://nova", "away"), 503, "precache.inventory.unavailable"),
        (errors.InventoryForeign("Nova"), 409, "precache.inventory.foreign"),
    ],
)
def test_error_without_a_line_is_found_through_its_parent(error, status, code):
    fault = fault_of(error)

    assert fault is not None
    assert (fault.status, fault.code) == (status, code)


@pytest.mark.parametrize("error", [RuntimeError(), errors.IllegalTransition("A job", "a", "b"), KeyError("x")])
def test_bug_has_no_line(error):
    assert fault_of(error) is None


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "badRequest"),
        (403, "forbidden"),
        (404, "itemNotFound"),
        (405, "badMethod"),
        (406, "computeFault"),
        (409, "conflictingRequest"),
        (413, "overLimit"),
        (415, "badMediaType"),
        (500, "computeFault"),
        (503, "serviceUnavailable"),
    ],
)
def test_nova_has_a_word_for_each_status(status, word):
    assert nova_body(status, "why") == {word: {"code": status, "message": "why"}}

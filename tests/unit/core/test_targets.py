"""Targets, and the document that is the same in a request, in a row and in an answer."""

import pytest

from precache.core.targets import NO_TARGET, Target

EVERYTHING = {"aggregates": ["a"], "cells": ["c"], "hosts": ["h", "i"], "exclude_hosts": ["x"]}


def test_a_target_is_read_as_it_was_written():
    assert Target.read(EVERYTHING).document() == EVERYTHING
    assert Target.read(NO_TARGET.document()) == NO_TARGET


def test_names_that_are_given_twice_count_once_and_unknown_fields_are_ignored():
    assert Target.read({"hosts": ["b", "a", "b"], "racks": ["r"]}) == Target(hosts=("b", "a"))


@pytest.mark.parametrize(
    ("target", "aggregate", "host"),
    [
        (NO_TARGET, False, False),
        (Target(aggregates=("a",)), True, False),
        (Target(aggregates=("a", "b")), False, False),
        (Target(aggregates=("a",), exclude_hosts=("h",)), False, False),
        (Target(aggregates=("a",), hosts=("h",)), False, False),
        (Target(aggregates=("a",), cells=("c",)), False, False),
        (Target(hosts=("h",)), False, True),
        (Target(hosts=("h", "i")), False, False),
        (Target(hosts=("h",), exclude_hosts=("i",)), False, False),
        (Target(hosts=("h",), cells=("c",)), False, False),
    ],
)
def test_only_one_aggregate_or_one_host_alone_is_one(target, aggregate, host):
    assert (target.is_one_aggregate, target.is_one_host) == (aggregate, host)

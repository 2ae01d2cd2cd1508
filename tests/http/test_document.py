"""The document, the table of routes and the policies say the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from openapi_spec_validator import validate

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.jobs_memory import MemoryJobs
from precache.api.handlers.aggregate_images import AggregateImages
from precache.api.handlers.aggregates import Aggregates
from precache.api.handlers.hosts import Hosts
from precache.api.handlers.job_requests import JobRequests
from precache.api.handlers.jobs import Jobs
from precache.api.handlers.service import Service
from precache.api.policies import RULES
from precache.api.routes import Handlers, routes
from precache.api.schemas.document import load_document, operation

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture(scope="module")
def document():
    return load_document()


@pytest.fixture(scope="module")
def table(document):
    inventory: Any = MemoryInventory()
    jobs: Any = MemoryJobs()
    clock, images = MemoryClock(), None
    requests = JobRequests(images=images, jobs=jobs, clock=clock, wake=lambda: None)
    return routes(
        Handlers(
            service=Service(store=jobs, document=document),
            aggregates=Aggregates(queries=inventory, changes=inventory, clock=clock),
            aggregate_images=AggregateImages(aggregates=inventory, requests=requests),
            jobs=Jobs(queries=jobs),
            hosts=Hosts(
                queries=inventory,
                changes=inventory,
                removal=inventory,
                requests=requests,
                clock=clock,
                service_down_time=timedelta(seconds=60),
            ),
        )
    )


def test_document_is_valid_openapi(document):
    validate(dict(document))


def test_document_and_table_list_the_same_operations(document, table):
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method in METHODS
    }

    assert described == {(route.method, route.path) for route in table}


def test_bodies_are_checked_against_the_schemas_that_the_document_shows(document, table):
    for method, path in {(route.method, route.path) for route in table}:
        checked = {route.body for route in table if (route.method, route.path) == (method, path) and route.body}
        shown = operation(document, method, path).get("requestBody", {})
        schema = shown.get("content", {}).get("application/json", {}).get("schema", {})
        references = [each["$ref"] for each in schema.get("oneOf", [schema] if schema else [])]

        assert {reference.rpartition("/")[2] for reference in references} == checked


def test_every_operation_but_the_open_ones_has_a_rule(document, table):
    for route in table:
        is_open = operation(document, route.method, route.path).get("security") == []

        assert (route.rule is None) == is_open, route


def test_every_rule_of_the_table_is_defined_and_names_its_operation(table):
    operations = {rule.name: rule.operations for rule in RULES}

    for route in table:
        if route.rule is not None:
            assert (route.method, route.path) in operations[route.rule]


def test_every_operation_of_a_rule_exists(table):
    known = {(route.rule, route.method, route.path) for route in table}

    for rule in RULES:
        for method, path in rule.operations:
            assert (rule.name, method, path) in known


def test_actions_of_one_path_are_told_apart_by_the_only_key_of_their_bodies(document, table):
    for route in table:
        if route.action is not None:
            assert document["components"]["schemas"][route.body]["required"] == [route.action]

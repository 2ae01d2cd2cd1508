"""The document, the table of routes and the policies say the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import falcon.testing
import pytest
from openapi_spec_validator import validate

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.jobs_memory import MemoryJobs
from precache.adapters.relays_memory import MemoryRelays
from precache.api.events.feed import JobFeed
from precache.api.handlers.aggregates import Aggregates
from precache.api.handlers.cached_images import CachedImages
from precache.api.handlers.host_cleaning import HostCleaning
from precache.api.handlers.hosts import Hosts
from precache.api.handlers.job_events import JobEvents
from precache.api.handlers.job_plans import JobPlans
from precache.api.handlers.job_requests import JobRequests
from precache.api.handlers.job_sites import JobSites
from precache.api.handlers.job_targets import JobTargets
from precache.api.handlers.jobs import Jobs
from precache.api.handlers.service import Service
from precache.api.handlers.views import JobViews
from precache.api.identity import noauth
from precache.api.policies import RULES
from precache.api.routes import Handlers, routes
from precache.api.schemas.document import load_document, operation
from precache.api.schemas.validation import Schemas
from tests.http.world import DEBIAN, World

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture(scope="module")
def document():
    return load_document()


@pytest.fixture(scope="module")
def table(document):
    inventory: Any = MemoryInventory()
    jobs: Any = MemoryJobs()
    clock, images = MemoryClock(), None
    views = JobViews(document)
    requests = JobRequests(images=images, caches=inventory, jobs=jobs, clock=clock, wake=lambda: None)
    return routes(
        Handlers(
            service=Service(store=jobs, document=document, auth_strategy="keystone"),
            aggregates=Aggregates(queries=inventory, changes=inventory, requests=requests, clock=clock),
            jobs=Jobs(
                queries=jobs,
                steering=jobs,
                requests=requests,
                plans=JobPlans(survey=None, rates=jobs, clock=clock),
                targets=JobTargets(aggregates=inventory, hosts=inventory),
                views=views,
                wake=lambda: None,
            ),
            events=JobEvents(feed=JobFeed(store=jobs, views=views)),
            sites=JobSites(queries=jobs, relays=MemoryRelays(clock=clock, jobs=jobs)),
            hosts=Hosts(
                queries=inventory,
                changes=inventory,
                removal=inventory,
                caches=inventory,
                requests=requests,
                views=views,
                clock=clock,
                service_down_time=timedelta(seconds=60),
            ),
            cleaning=HostCleaning(hosts=inventory, caches=inventory, cleaning=None),
            images=CachedImages(
                caches=inventory, hosts=inventory, clock=clock, service_down_time=timedelta(seconds=60)
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
        is_optional = any(route.is_body_optional for route in table if (route.method, route.path) == (method, path))
        assert is_optional == (bool(checked) and not shown["required"])


def test_every_operation_but_the_open_ones_has_a_rule(document, table):
    for route in table:
        is_open = operation(document, route.method, route.path).get("security") == []

        assert (route.rule is None) == is_open, route


def rules_of(route):
    return [rule for rule in (route.rule, *route.rules_of_operations.values()) if rule is not None]


def test_every_rule_of_the_table_is_defined_and_names_its_operation(table):
    operations = {rule.name: rule.operations for rule in RULES}

    for route in table:
        for rule in rules_of(route):
            assert (route.method, route.path) in operations[rule]


def test_every_operation_of_a_rule_exists(table):
    known = {(rule, route.method, route.path) for route in table for rule in rules_of(route)}

    for rule in RULES:
        for method, path in rule.operations:
            assert (rule.name, method, path) in known


def test_actions_of_one_path_are_distinguished_by_the_only_key_of_their_bodies(document, table):
    for route in table:
        if route.action is not None:
            assert document["components"]["schemas"][route.body]["required"] == [route.action]


def schemas_of(document):
    return document["components"]["schemas"].items()


def test_answers_are_open_to_new_fields_and_requests_are_not(document, table):
    of_requests = {row.body for row in table if row.body}

    closed = {name for name, schema in schemas_of(document) if schema.get("additionalProperties") is False}

    assert closed == of_requests


def test_every_example_is_as_its_schema_says(document):
    schemas = Schemas(document)
    seen = set()
    for name, schema in schemas_of(document):
        for example in schema.get("examples", ()):
            schemas.check_body(name, example)
            seen.add(name)

    assert seen >= {
        "CacheImages",
        "HostUpdate",
        "Job",
        "Task",
        "Host",
        "Aggregate",
        "Error",
        "ComputeError",
        "NextLink",
    }


def test_every_request_body_has_an_example(document, table):
    assert [row.body for row in table if row.body and not document["components"]["schemas"][row.body]["examples"]] == []


def test_instants_of_our_own_half_are_date_times(document):
    assert document["components"]["schemas"]["Instant"]["format"] == "date-time"


@pytest.mark.parametrize(
    ("auth_strategy", "security"),
    [("keystone", [{"token": []}]), ("token", [{"token": []}, {"bearer": []}]), ("noauth", [{}, {"token": []}])],
)
def test_the_document_is_served_with_the_security_that_holds(document, auth_strategy, security):
    client = falcon.testing.TestClient(World().app_with(auth_strategy=auth_strategy))

    served = client.simulate_get("/v1/openapi.json", headers={"Host": "cloud.example:8775"}).json

    validate(served)
    assert served["security"] == security
    assert served["servers"] == [{"url": "http://cloud.example:8775"}]
    assert served["components"]["securitySchemes"]["token"]["name"] == "X-Auth-Token"
    operations = [part for item in served["paths"].values() for key, part in item.items() if key in METHODS]
    assert all({"403", "415"} <= part["responses"].keys() for part in operations) is (auth_strategy == "noauth")
    assert document["security"] == [{"token": []}]


def test_an_accepted_request_says_where_its_job_is():
    client = falcon.testing.TestClient(noauth(World().app))
    body = {"cache": [{"id": DEBIAN}]}

    answer = client.simulate_post(
        "/compute/v2.1/os-aggregates/1/images", json=body, headers={"OpenStack-API-Version": "compute 2.81"}
    )

    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(f"/v1/jobs/{answer.headers['X-Precache-Job-Id']}")
    assert client.simulate_get(answer.headers["Location"].removeprefix("http://falconframework.org")).status_code == 200

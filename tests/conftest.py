"""The real servers that tests may use, each with its fixtures in its own file; and the order of the tests."""

import signal

import pytest
from hypothesis import HealthCheck, settings

from precache.adapters.native_threads import use_native_threads

# Background jobs of a shell without job control ignore Ctrl-C, and processes of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine may be busy with other work.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
settings.register_profile("thorough", settings.get_profile("patient"), max_examples=1000)  # for `make test-long`
settings.load_profile("patient")

use_native_threads()  # before any test imports the libraries that choose others

pytest_plugins: list[str] = [
    "tests.lab.keystone",
    "tests.lab.glance",
    "tests.lab.cloud",
    "tests.lab.mariadb",
    "tests.lab.postgresql",
    "tests.lab.rabbitmq",
]

LONGEST = [
    "tests/contract/test_bus_faults.py",
    "tests/system/test_secrets.py",
    "tests/system/test_deployment_faults.py",
    "tests/system/test_deployment_job_actions.py",
    "tests/system/test_restart.py",
    "tests/system/test_distribution.py",
    "tests/system/test_stock_clients.py",
    "tests/system/test_identity.py",
    "tests/system/test_fleet.py",
    "tests/system/test_swarm_faults.py",
]
"""Files that take a minute or more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first: a parallel run that ends with one of them leaves processors idle."""
    rank = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONGEST)))

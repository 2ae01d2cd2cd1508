"""The real parts that tests may ask for, each with its fixtures in its own file; and which tests come first."""

import signal

import pytest
from hypothesis import HealthCheck, settings

from precache.adapters.native_threads import use_native_threads

# A shell without job control has its background jobs ignore Ctrl-C, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that does something else at the same time is no fault of the code.
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
    "tests/system/test_restart.py",
    "tests/system/test_distribution.py",
    "tests/system/test_stock_clients.py",
    "tests/system/test_identity.py",
    "tests/system/test_fleet.py",
]
"""Files that take a minute or more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first: a parallel run that ends with one of them has one worker, and idle processors."""
    rank = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONGEST)))

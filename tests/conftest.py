"""The real parts that tests may ask for, each with its fixtures in its own file."""

from precache.adapters.native_threads import use_native_threads

use_native_threads()  # before any test imports the libraries that choose others

pytest_plugins: list[str] = [
    "tests.lab.keystone",
    "tests.lab.glance",
    "tests.lab.cloud",
    "tests.lab.mariadb",
    "tests.lab.postgresql",
    "tests.lab.rabbitmq",
]

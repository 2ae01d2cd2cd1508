"""The real parts that tests may ask for, each with its fixtures in its own file."""

import signal

from precache.adapters.native_threads import use_native_threads

# A shell without job control has its background jobs ignore Ctrl-C, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

use_native_threads()  # before any test imports the libraries that choose others

pytest_plugins: list[str] = [
    "tests.lab.keystone",
    "tests.lab.glance",
    "tests.lab.cloud",
    "tests.lab.mariadb",
    "tests.lab.postgresql",
    "tests.lab.rabbitmq",
]

"""The real parts that tests may ask for, each with its fixtures in its own file."""

pytest_plugins: list[str] = [
    "tests.lab.keystone",
    "tests.lab.glance",
    "tests.lab.cloud",
    "tests.lab.mariadb",
    "tests.lab.postgresql",
    "tests.lab.rabbitmq",
]

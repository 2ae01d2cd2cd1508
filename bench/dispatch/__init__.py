"""Measures how many hosts one conductor drives over RabbitMQ; `python -m bench.dispatch`, method in bench/README.md."""

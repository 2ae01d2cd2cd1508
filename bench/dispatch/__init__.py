"""Measures how many hosts one conductor can call over RabbitMQ: `python -m bench.dispatch`, see bench/README.md."""

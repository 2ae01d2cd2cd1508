"""Real parts for tests: each file starts one server on loopback, waits until it is ready, and stops it."""

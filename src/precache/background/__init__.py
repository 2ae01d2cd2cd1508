"""Threads, batches and retries: the only place that starts a thread or decides when to try again.

Everything here is thread-safe. Every thread is a daemon: no process waits for one that hangs in a library. Nothing here
knows what the work is: the callers pass it in. `observer` tells how often work ran, for how long, and how it failed.
"""

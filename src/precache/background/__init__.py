"""Threads, batches and retries: the only layer that starts threads or times retries.

Everything here is thread-safe. Every thread is a daemon: no process waits at its end for a thread that hangs in a
library. The callers pass the work in. `observer` reports how often work ran, how long it took, and how it failed.
"""

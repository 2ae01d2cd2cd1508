"""The commands of `precache` that are not a client's: they run the service, or work on this host.

Imported only when run.
"""

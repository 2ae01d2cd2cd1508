"""The commands of `precache` that run the service or work on this host, in contrast to the client's commands.

Each is imported only when it is run.
"""

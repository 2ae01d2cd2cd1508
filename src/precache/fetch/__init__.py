"""Bytes on their way to a host: download, verify, inspect, convert. One pass over the network, bounded memory.

The way of the bytes, each arrow a thread of its own:

    image service --reader--> blocks --hasher--> blocks --writer--> temporary file --converter--> result
"""

"""The fetch of an image to a host: download, verify, inspect, convert. One pass over the network, bounded memory.

The data flow; each arrow is a thread of its own:

    image service --reader--> blocks --hasher--> blocks --writer--> temporary file --converter--> result
"""

"""The fetch of an image to a host: download, verify, inspect, decode. One pass over the network, bounded memory.

The data flow; each arrow is a thread of its own:

    image service --reader--> blocks --hasher--> blocks --writer--> sink

The sink is a file of the download, from which qemu-img makes the result while it grows; or a decoder, which writes each
byte to its place in the result.
"""

"""Decides which hosts are called, and when. One use case per file; never sees a path, a byte or a socket."""

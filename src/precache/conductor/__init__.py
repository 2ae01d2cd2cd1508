"""Decides who is asked and when. One use case per file; never sees a path, a byte or a socket."""

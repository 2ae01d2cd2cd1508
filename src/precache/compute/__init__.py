"""A host's own side: decides how an image gets into this host's cache. One use case per file."""

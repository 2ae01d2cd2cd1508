"""The use cases of one host: how an image gets into its cache. One use case per file."""

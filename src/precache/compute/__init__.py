"""The use cases of one host, such as caching an image. One use case per file."""

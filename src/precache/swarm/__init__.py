"""A host's side of a swarm: pieces of images to and from other hosts of its site, over HTTP with mutual TLS."""

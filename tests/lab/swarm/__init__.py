"""A site of a swarm for tests and benchmarks: its hosts as light processes in network namespaces with shaped links."""

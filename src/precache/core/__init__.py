"""Values of the domain. No I/O, no clock, no thread, no third-party library."""

"""One decision per file, as pure functions: everything they need is an argument."""

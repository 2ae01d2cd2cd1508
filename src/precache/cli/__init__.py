"""The command line: what an operator types, over HTTP only. Whatever it can do, any client can."""

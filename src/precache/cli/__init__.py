"""The command line, a client of the HTTP API: all that it can do, any other client can do as well."""

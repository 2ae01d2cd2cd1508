"""One file per noun: what happens after the checks. A handler calls a port and renders what it gives."""

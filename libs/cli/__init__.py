"""The `hefu` command line: a client of the services and the store like any other."""

"""The project's own conformance checks: what must be true of the datasets, looked up in the data."""

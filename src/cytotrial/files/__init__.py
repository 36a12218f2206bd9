"""The only code that opens files, one format in each module."""

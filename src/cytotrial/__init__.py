"""From a folder of flow-cytometry files to a trial dataset."""

__version__ = "0.1.0"

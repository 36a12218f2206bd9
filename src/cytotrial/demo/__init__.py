"""A simulated trial, written as FCS files and sheets, with its truth beside it."""

from cytotrial.demo.folder import DemoSummary, write_demo

__all__ = ["DemoSummary", "write_demo"]

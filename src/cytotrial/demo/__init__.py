"""A simulated trial, written as FCS files and sheets, with its truth beside it."""

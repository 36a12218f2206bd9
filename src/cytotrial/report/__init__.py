"""Figures and pages from tables; computes nothing that a table does not hold."""

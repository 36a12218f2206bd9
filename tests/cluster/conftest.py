"""The tiny trial of the workflow's tests."""

from tests.workflow.conftest import tiny_demo

__all__ = ["tiny_demo"]

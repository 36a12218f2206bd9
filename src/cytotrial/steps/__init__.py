"""One function per rule of the workflow: read, call the science, write."""

"""`python -m cytotrial`."""

from cytotrial.cli import main

main()

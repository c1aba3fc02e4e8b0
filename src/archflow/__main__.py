"""`python -m archflow`."""

from archflow.cli import main

main()

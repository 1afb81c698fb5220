"""`python -m service` is the `assay` command."""

from service.cli import main

main()

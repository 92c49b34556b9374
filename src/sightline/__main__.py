"""Run the command line by ``python -m sightline``."""

from sightline.cli.main import main

main()

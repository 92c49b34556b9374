"""``python -m sightline``."""

from sightline.cli.main import main

main()

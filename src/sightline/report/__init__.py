"""Renders the folder of a run or a comparison as one self-contained page."""

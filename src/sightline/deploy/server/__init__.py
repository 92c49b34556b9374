"""Serve exported models over HTTP: the application, its limits and its process."""

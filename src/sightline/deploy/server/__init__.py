"""Answer over HTTP with exported models: the application, its limits and its process."""

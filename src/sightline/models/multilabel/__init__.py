"""Say which of several labels a picture has."""

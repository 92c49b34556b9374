"""Compare methods under one protocol, and choose between them."""

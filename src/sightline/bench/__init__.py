"""Many methods under one protocol, and the choice between them."""

"""Who can answer a request: registry, wire formats, transport and error classes."""

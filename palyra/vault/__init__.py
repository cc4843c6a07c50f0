"""What is secret at rest: gateway keys and the access registry."""

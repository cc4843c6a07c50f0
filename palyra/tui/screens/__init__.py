"""The console's screens, one concept each."""

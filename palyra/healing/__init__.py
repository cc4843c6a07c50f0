"""Work that proves that it lives; incidents about what does not, and what is done about them."""

"""Between dialects: a request in another wire's words, and its answer in the caller's own."""

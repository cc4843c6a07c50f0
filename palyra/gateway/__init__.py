"""The HTTP door for OpenAI and Anthropic clients."""

"""The operations console on Textual."""

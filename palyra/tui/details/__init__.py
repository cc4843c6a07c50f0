"""What a thing looks like when it is opened: pure functions from values to lines."""

"""The console's own widgets: light ones, that repaint only what changed."""

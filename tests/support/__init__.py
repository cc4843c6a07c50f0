"""What several test rooms share: a mock upstream, engines in a subprocess, terminals."""

"""`palyra demo`: the console on a state of its own, with made-up history and live made-up traffic."""

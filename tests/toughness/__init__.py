"""The whole program under rough treatment: kills, stalled and vanished terminals, signals, everything in the way."""

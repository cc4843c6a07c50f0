"""What every part of a running house is doing now: one typed snapshot, collected part by part and never by force."""

"""Carrying what people are told to addresses on the network, until it has arrived or is given up."""

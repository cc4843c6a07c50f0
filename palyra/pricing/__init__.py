"""What a request may cost and what it did cost: rate cards, estimates, usage normalisation. No I/O."""

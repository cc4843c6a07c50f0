"""What people are told: of incidents, alerts and requests for their word; when, and how often."""

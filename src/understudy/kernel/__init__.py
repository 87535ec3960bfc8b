"""The deterministic heart: deliver, advance, replay, verify. Synchronous; awaits nothing; time and randomness are handed in."""

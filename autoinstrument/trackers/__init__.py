"""Trackers: each owns the records of one kind of thing."""

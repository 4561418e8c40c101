"""Sinks: where findings, spans and statistics leave the process."""

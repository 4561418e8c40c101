"""Scenarios: small real programs, faulty ones and their healthy twins, judged from the outside."""

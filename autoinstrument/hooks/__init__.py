"""Hooks: one file for each part of a library; each tells one tracker facts."""

"""The commands `asyncscope` and `asyncscope-instrument`, one file per command.

A command's module has `SUMMARY`, `add_arguments(parser)` and `run(options)`, which returns the
exit status.
"""

"""The commands: each thin, on top of the core and the shell."""

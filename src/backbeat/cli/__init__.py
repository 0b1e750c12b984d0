"""The `backbeat` command."""

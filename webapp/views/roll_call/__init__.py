"""The roll call: its page, what htmx swaps in it, the stream of changes, and where phones send their marks."""

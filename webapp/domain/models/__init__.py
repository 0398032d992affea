"""The tables, and what one row says of itself."""

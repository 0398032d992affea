"""What people may ask for about themselves: all that is kept of them, and to be forgotten."""

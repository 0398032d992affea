"""The calendar as an admin changes it: camps added, moved and cancelled, and series of them."""

"""The organisation's settings, and the steps of an empty installation."""

"""What the organisation knows and does. Nothing in here knows of a web request."""

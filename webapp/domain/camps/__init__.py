"""Sites, camps and their calendars, and how they are locked."""

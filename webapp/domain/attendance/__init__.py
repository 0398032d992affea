"""Attendance: the verbs of the coordinator's table, and the fast path that most marks take."""

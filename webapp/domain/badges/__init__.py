"""Badges: the rule of a streak, what a badge may ask for, histories, awards, definitions."""

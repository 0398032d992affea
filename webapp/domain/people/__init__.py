"""Who people are, and how they are known again: accounts, search, passwords, sessions, cards."""

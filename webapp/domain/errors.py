"""What can go wrong in the organisation's own terms. The message is for the person who asked."""


class DomainError(Exception):
    """A request that cannot be met; ``str()`` of it says why, in the user's words."""


class InvalidError(DomainError):
    """What was sent is not of the right form."""


class ConflictError(DomainError):
    """What was sent is well formed but contradicts the facts, for example a mark for a future camp."""

"""Forms of what somebody else may change meanwhile: each field comes with what it held when its page was opened."""

from flask import request
from wtforms import Field


def changed(field: Field) -> bool:
    """Whether a field holds something else than when its page was opened (``seen`` in components/form.html). What was
    left as it was may have been changed by somebody else meanwhile, and stays so. An empty field is never right.
    """
    return not field.data or field.data != request.form.get(f"seen_{field.name}")

"""Where servers and the ``flask`` command find the application."""

from webapp import create_app

app = create_app()

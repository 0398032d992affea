"""gunicorn's configuration: ``gunicorn -c webapp/server.py wsgi:app``.

Threads, because open live pages hold one each; a few processes on PostgreSQL, one on SQLite, where
only one can write anyway.
"""

import os

from webapp.config import whole_number

wsgi_app = "wsgi:app"
bind = f"{os.environ.get('HOST', '0.0.0.0')}:{whole_number(os.environ, 'PORT', default=8000, least=1)}"  # noqa: S104 - phones in the same network open it too
worker_class = "gthread"
threads = whole_number(os.environ, "THREADS", default=64, least=8)
_embedded = os.environ.get("DATABASE_URL", "sqlite").startswith("sqlite")
workers = whole_number(os.environ, "WEB_CONCURRENCY", default=1 if _embedded else 2, least=1)
keepalive = 15  # seconds; a phone's next tap comes without a new connection
graceful_timeout = 3  # seconds; open live pages would otherwise hold a stop for long, and they reconnect
timeout = 60  # seconds without a sign of life from a worker
accesslog = os.environ.get("ACCESS_LOG")
control_socket_disable = True  # two installations on a machine would share its one path

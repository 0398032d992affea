# make run    set up, fill the demo, serve on PORT (default 8000)
# make serve  the production set-up of one machine, told by the environment; make reload restarts it gracefully
# make test   the checks and the whole suite, on SQLite and on PostgreSQL
# make check  linters, types and format only
# make bench  the speed of everything, beside a floor (half an hour, 20 GB); bench-quick in two minutes

SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
FLASK := $(BIN)/flask --app wsgi
VENDOR := static/vendor
INSTANCE := $(or $(INSTANCE_PATH),instance)

# The worker of the jobs beside a server: started again should it die, and gone when the server (which takes the
# place of the shell, $$$$) is.
WORKER_PID := $(INSTANCE)/worker.pid
WORKER := server=$$$$; \
	until ! kill -0 $$server 2>/dev/null || $(FLASK) work --until-gone $$server --pid $(WORKER_PID); do sleep 1; done

export PORT
unexport FLASK_APP

.PHONY: run serve reload test check format lock bench bench-quick screenshots clean

run: $(VENV)/run $(VENDOR)/installed
	@$(FLASK) db upgrade
	@$(FLASK) seed
	@echo; echo "  Camp Badges is at http://localhost:$(PORT)  (stop it with Ctrl-C)"; echo
	@$(WORKER) & exec $(BIN)/gunicorn -c webapp/server.py --log-level warning

# Threads are made when live pages need them. Two arenas and no caches, or each would keep freed memory for itself.
serve: export THREADS := $(or $(THREADS),640)
serve: export LOG_FORMAT := $(or $(LOG_FORMAT),json)
serve: export MALLOC_ARENA_MAX := 2
serve: export GLIBC_TUNABLES := glibc.malloc.tcache_count=0
serve: $(VENV)/run $(VENDOR)/installed
	@$(FLASK) db upgrade
	@mkdir -p $(INSTANCE)
	@$(WORKER) & exec $(BIN)/gunicorn -c webapp/server.py --pid $(INSTANCE)/gunicorn.pid

# The upgrade comes first: a version that cannot even load leaves the running one alone.
reload: $(VENV)/run $(VENDOR)/installed
	@$(FLASK) db upgrade
	@kill -HUP $$(cat $(INSTANCE)/gunicorn.pid)
	@kill -HUP $$(cat $(WORKER_PID)) || true # it may be starting anew just now

test: check
	$(BIN)/pytest -n 2 --dist worksteal
	TEST_ENGINE=postgresql $(BIN)/pytest -n 2 --dist worksteal

check: $(VENV)/dev $(VENDOR)/installed node_modules/.checked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir build/import-linter
	$(BIN)/djlint --quiet --lint templates
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm run --silent check

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A virtual environment, with what is pinned and hashed. The marker files say which lock is in it.
$(BIN)/pip:
	@PYTHON=$(PYTHON) requirements/make-venv $(VENV)

$(VENV)/run: requirements/run.lock | $(BIN)/pip
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	@touch $@

$(VENV)/dev: requirements/dev.lock $(VENV)/run
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

# The front-end files come from npm; where there is none, with a Node of PyPI's. The live script is one
# file: htmx looks through the page a moment after it is loaded, and an extension in a file of its own may
# come later than that. The roll call's scripts are joined with htmx and minified.
$(VENDOR)/fetched: package-lock.json | $(BIN)/pip
	@command -v npm >/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/node.lock
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --omit=dev --ignore-scripts --no-audit --no-fund --silent
	@mkdir -p $(VENDOR)
	@cp node_modules/htmx.org/dist/htmx.min.js node_modules/modern-normalize/modern-normalize.css $(VENDOR)/
	@cp node_modules/qr-scanner/qr-scanner.umd.min.js node_modules/qr-scanner/qr-scanner-worker.min.js $(VENDOR)/
	@(cd node_modules/htmx.org/dist && cat htmx.min.js && echo && cat ext/hx-sse.min.js) >$(VENDOR)/htmx-live.js
	@touch $@

# The style sheets are one file too: a second one costs a first visit a round trip before anything is painted.
$(VENDOR)/installed: $(VENDOR)/fetched static/app.css $(wildcard static/roll_call/*.js)
	@cat $(VENDOR)/modern-normalize.css static/app.css >$(VENDOR)/styles.css
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm run --silent build
	@touch $@

# What checks and tests the scripts; nobody needs it in order to run the application.
node_modules/.checked: package-lock.json $(VENDOR)/fetched
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# After a change of a version in pyproject.toml; needs uv.
lock:
	uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --no-header --no-annotate pyproject.toml -o requirements/run.lock
	uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --no-header --no-annotate pyproject.toml --group dev -o requirements/dev.lock
	uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --no-header --no-annotate --group node -o requirements/node.lock

# Needs Debian's wrk and chromium. The organisations it makes are kept in build/benchmarks.
bench: $(VENV)/dev $(VENDOR)/installed
	$(BIN)/python -m benchmarks --json build/benchmarks/figures.json

bench-quick: $(VENV)/dev $(VENDOR)/installed
	$(BIN)/python -m benchmarks --quick --json build/benchmarks/figures-quick.json

# From a running demo.
screenshots: $(VENV)/dev
	$(BIN)/python docs/screenshots.py http://localhost:$(PORT)

clean:
	rm -rf $(VENV) node_modules $(VENDOR)

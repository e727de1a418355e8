# Each target is a few plain commands; README lists them.
BIN := .venv/bin
# What the checks need to load the settings; nothing is started.
CHECKS := EMBEDDED=true SECRET_KEY=only-to-load-the-settings DATABASE_URL= LOG_LEVEL=WARNING

.PHONY: help run test lint format lock
help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

.venv/.installed: requirements/development.txt .ci/setup
	@.ci/setup

# Written in one go, for its owner alone: it holds a key.
.env: | .venv/.installed
	@umask 077 && printf 'EMBEDDED=true\nSECRET_KEY=%s\n' \
	    "$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" > .env.new && \
	    mv .env.new .env

run: .venv/.installed .env ## Set everything up and serve on HOST:PORT (127.0.0.1:8000)
	@$(BIN)/python manage.py migrate --verbosity 0
	@exec $(BIN)/gunicorn -c chatbackend/gunicorn.py chatbackend.asgi:application

test: .venv/.installed ## Run the tests (ARGS="-k name" for some of them)
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 $(ARGS)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(ARGS),--fail-under=0)

lint: .venv/.installed ## Check style, types, import arrows, migrations, the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/black --check --quiet .
	$(BIN)/mypy chat chatbackend
	$(BIN)/lint-imports
	$(CHECKS) $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/hadolint Dockerfile

format: .venv/.installed ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/black --quiet .

# The files name no address to download from; the hashes say what is meant.
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
    --python-version 3.12 pyproject.toml
lock: .venv/.installed ## Pin the requirements anew
	$(COMPILE) -o requirements/production.txt
	$(COMPILE) --extra embedded --group dev -o requirements/development.txt

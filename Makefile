# Each target is a few plain commands; CONTRIBUTING.md lists them.
BIN := .venv/bin

.PHONY: help run test faults bench bench-review bench-search bench-book bench-quotes bench-index attack screenshots docusaurus generators scaled api-clients clients openapi lint format lock
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

.venv/.installed: requirements/development.txt .ci/setup $(BIN)/python
	@.ci/setup

# A link to an interpreter that may be gone one day; the set-up then makes everything anew.
$(BIN)/python: ;

# Written in one go, for its owner alone: it holds a key.
.env: | .venv/.installed
	@umask 077 && key=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') && \
	    printf 'EMBEDDED=true\nSECRET_KEY=%s\n' "$$key" > .venv/env && \
	    printf '# The example book, which this server shows at /example/\nBOOK_SOURCE=%s\nBOOK_URL=%s\n' \
	    examples/docusaurus/docs "http://localhost:$${PORT:-8000}/example/" >> .venv/env && mv .venv/env .env

run: .venv/.installed .env ## Set everything up and serve on HOST:PORT (127.0.0.1:8000)
	@$(BIN)/python manage.py migrate --verbosity 0
	@[ -e .embedded/indexed ] || { $(BIN)/python manage.py index_book --if-none && \
	    mkdir -p .embedded && touch .embedded/indexed; } || true  # readers may ask without it
	@exec $(BIN)/gunicorn -c chatbackend/gunicorn.py chatbackend.asgi:application

# npm's packages check and test the JavaScript and bring clients for the tests, such as the AI SDK.
NODE_MODULES := node_modules/.installed
$(NODE_MODULES): package-lock.json
	@if ! command -v npm >/dev/null; then echo "npm is missing: what needs it is skipped"; \
	elif npm ci --silent; then touch $@; \
	else echo "npm could not install its packages: what needs them is skipped"; fi
npm_run = @if [ -e $(NODE_MODULES) ]; then npm run --silent $(1); \
    else echo "skipped, since npm or its packages are missing: npm run $(1)"; fi

test: .venv/.installed $(NODE_MODULES) ## Run the tests (ARGS="-k name" for some of them)
	$(if $(ARGS),,$(call npm_run,test))
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 4 $(ARGS)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(ARGS),--fail-under=0)

faults: .venv/.installed ## Take 1,000 turns under random faults, minutes long (SEED=7 for others)
	FAULTS_SEED=$(SEED) $(BIN)/python -m pytest --timeout 1800 -m faults --capture=no tests/chat/test_faults.py

bench: .venv/.installed ## Measure turns beside a FastAPI peer, ten minutes long (ARGS=--quick for a look)
	$(BIN)/python -m benchmarks.turns $(ARGS)

bench-review: .venv/.installed ## Measure the pages and commands of staff with a million messages, minutes long
	$(BIN)/python -m benchmarks.review $(ARGS)

attack: .venv/.installed ## Attack a server with readers beside it, minutes long (ARGS="--turns 30000": many turns instead)
	$(BIN)/python -m benchmarks.attack $(ARGS)

bench-search: .venv/.installed ## Measure the search of the book at 500 and 100,000 chunks, minutes long (ARGS="--chunks 500")
	$(BIN)/python -m benchmarks.search $(ARGS)

bench-quotes: .venv/.installed ## Measure quotes on pairs of sentence and section (ARGS="FOLDER": those of the real book)
	$(BIN)/python -m benchmarks.quotes $(ARGS)

bench-book: .venv/.installed ## Measure what a book costs a turn, minutes long (ARGS=--quick for a look)
	$(BIN)/python -m benchmarks.book_turns $(ARGS)

bench-index: .venv/.installed ## Index a site of 1,000 pages, kill runs in between, minutes long (ARGS=--scripted: without a model)
	$(BIN)/python -m benchmarks.indexing $(ARGS)

screenshots: .venv/.installed ## Take the pictures in docs/screenshots anew
	$(BIN)/python -m pytest --timeout 1800 tests/screenshots.py

docusaurus: .venv/.installed ## Build the example book with npm, serve it on port 3000 and read it in Chromium
	cd examples/docusaurus && npm ci --silent
	$(BIN)/python -m pytest --timeout 1800 -m docusaurus tests/chat/test_docusaurus.py

generators: .venv/.installed $(NODE_MODULES) ## Build a book with Docusaurus (npm) and Jupyter Book and read it, minutes long
	$(BIN)/python -m venv .venv/generators
	$(BIN)/uv pip sync --quiet --require-hashes --python .venv/generators/bin/python requirements/generators.txt
	cd examples/docusaurus && npm ci --silent
	$(BIN)/python -m pytest --timeout 1800 -m generators tests/book $(ARGS)

scaled: .venv/.installed ## Two hosts behind nginx and PgBouncer: kill, restart, migrate them under load, minutes long
	$(BIN)/python -m pytest --timeout 1800 -m scaled tests/chatbackend/test_scaled.py $(ARGS)

api-clients: .venv/.installed $(NODE_MODULES) ## Generate clients from the OpenAPI document, in TypeScript and Python, and make each call
	$(BIN)/python -m pytest --timeout 1800 -m clients tests/clients $(ARGS)

# Without a database none is asked, or started, for what its migrations were.
NO_SETTINGS := EMBEDDED= DATABASE_URL= SECRET_KEY=only-to-load-the-settings
lint: .venv/.installed $(NODE_MODULES) ## Check style, types, import arrows, migrations, the Dockerfiles
	$(BIN)/ruff check .
	$(BIN)/black --check --quiet .
	$(BIN)/mypy chatbackend review chat book llm embedded benchmarks examples/scaled tests/helpers
	$(BIN)/lint-imports --no-logo
	$(call npm_run,lint)
	$(NO_SETTINGS) $(BIN)/python manage.py makemigrations --check --dry-run --skip-checks
	$(BIN)/hadolint Dockerfile examples/scaled/Dockerfile
	@grep -q "$$(grep -o '^uv==[0-9.]*' requirements/development.txt) " Dockerfile || \
	    { echo "Dockerfile: requirements/development.txt pins another uv"; exit 1; }

clients: .venv/.installed $(NODE_MODULES) ## Real clients of other people's: the AI SDK, OpenAI's, llm, MCP's, deep-chat and useChat in Chromium
	$(BIN)/python -m venv .venv/clients
	$(BIN)/uv pip sync --quiet --require-hashes --python .venv/clients/bin/python requirements/clients.txt
	$(BIN)/python -m pytest --timeout 1800 -m "doors or not doors" tests/clients/test_doors.py tests/clients/test_mcp_clients.py tests/chat/test_ai_sdk.py tests/chat/test_openai.py $(ARGS)

openapi: .venv/.installed ## Renew the OpenAPI document's snapshot after a change of the API
	RENEW_OPENAPI=1 $(BIN)/python -m pytest -q tests/chat/test_api_document.py -k seen_in_review

format: .venv/.installed $(NODE_MODULES) ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/black --quiet .
	$(call npm_run,format)

# The files name no address to download from; the hashes say what is meant.
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
    --python-version 3.12
lock: .venv/.installed ## Pin the requirements anew (ARGS=--upgrade for newer ones)
	$(COMPILE) pyproject.toml $(ARGS) -o requirements/production.txt
	$(COMPILE) pyproject.toml --extra telemetry $(ARGS) -o requirements/telemetry.txt
	$(COMPILE) pyproject.toml --extra embedded --extra telemetry --group dev $(ARGS) -o requirements/development.txt
	$(COMPILE) --group pyproject.toml:generators $(ARGS) -o requirements/generators.txt
	$(COMPILE) --group pyproject.toml:clients $(ARGS) -o requirements/clients.txt

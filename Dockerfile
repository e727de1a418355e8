# docker build -t book-chat .
# docker run --env-file production.env book-chat python manage.py migrate   (before each release)
# docker run --env-file production.env -p 8000:8000 book-chat
# With OpenTelemetry: docker build --build-arg REQUIREMENTS=telemetry -t book-chat .
FROM python:3.13-slim AS build
ARG REQUIREMENTS=production
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
RUN pip install --no-cache-dir uv==0.13.9 && uv venv /opt/venv
COPY requirements/${REQUIREMENTS}.txt /tmp/requirements.txt
RUN uv pip sync --no-cache --compile-bytecode --require-hashes \
    --python /opt/venv/bin/python /tmp/requirements.txt
WORKDIR /app
COPY manage.py ./
COPY chatbackend chatbackend
COPY review review
COPY chat chat
COPY book book
COPY llm llm
COPY templates templates
COPY widget widget
# Throw-away settings: collecting files needs a loadable project and nothing else.
RUN SECRET_KEY=for-this-step-alone /opt/venv/bin/python manage.py collectstatic --noinput

FROM python:3.13-slim
# Certificates are wanted new, not pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --uid 10001 chat
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000 LOG_FORMAT=json
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# A ProxyHandler without proxies: a proxy that containers are given is not asked for ourselves.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open( \
    'http://127.0.0.1:' + os.environ['PORT'] + '/health', timeout=4)"]
# No shell in between: gunicorn itself gets the signals.
CMD ["gunicorn", "-c", "chatbackend/gunicorn.py", "chatbackend.asgi:application"]

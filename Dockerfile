# One image for all functions and the worker: FUNCTION_SOURCE and FUNCTION_TARGET choose which function a service runs,
# the command `python -m shared.scheduler.worker` the worker.
FROM python:3.12-slim AS packages
COPY requirements.lock .
RUN python -m venv /packages \
 && /packages/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r requirements.lock \
 && /packages/bin/pip uninstall --yes pip

FROM python:3.12-slim
ENV PATH=/packages/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app PORT=8080
WORKDIR /app
RUN useradd --system --no-create-home --uid 10001 functions
COPY --from=packages /packages /packages
COPY functions functions
COPY shared shared
# Compiled now, because at run time nobody may write here: a cold start is a second shorter.
RUN python -m compileall -q functions shared
USER 10001
ENV FUNCTION_SOURCE=functions/integrations.py FUNCTION_TARGET=integrations
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-m", "shared.runtime.web.health"]
CMD ["python", "-m", "shared.runtime.web.server"]

# One image for all functions: FUNCTION_SOURCE and FUNCTION_TARGET choose which one a service runs.
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app PORT=8080
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY functions functions
COPY shared shared
RUN useradd --create-home functions
USER functions
ENV FUNCTION_SOURCE=functions/integrations.py FUNCTION_TARGET=integrations
CMD ["functions-framework"]

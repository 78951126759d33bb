"""GraphQL between a real API, the platform and Postgres."""

"""docs/openapi.json, made from the request models, the providers and the error tree, so that it says what they do."""

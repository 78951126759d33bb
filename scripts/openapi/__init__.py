"""docs/openapi.json, made from the routes that the functions declare."""

from shared.runtime.bodies import Body, Query

# Descriptions of fields are read from the source only here: elsewhere that would cost every cold start.
for _base in (Body, Query):
    _base.model_config["use_attribute_docstrings"] = True

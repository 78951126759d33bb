"""MQTT on paho-mqtt, driven by our own loop against a deadline: `client` connects, `session` receives in batches."""

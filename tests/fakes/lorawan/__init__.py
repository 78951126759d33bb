"""LoRaWAN network servers: what they push, and the APIs that they have."""

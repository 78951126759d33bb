"""Azure: what Event Grid posts, and an IoT Hub's service API."""

"""A Kafka cluster for tests: librdkafka's mock cluster, and a front before it that speaks TLS and SASL."""

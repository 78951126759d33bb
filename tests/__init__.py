"""Tests on real Postgres, real sockets and a real broker."""

"""Tests on real Postgres, real sockets and a real broker."""

import os

# As the provider has it: else gRPC works on in what a test starts, until that is another program, and may abort it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

"""A gRPC service on a real socket."""

"""What the provider for GraphQL does without a platform."""

"""What a provider is: the contract, the words that travel, the field types, the proofs."""

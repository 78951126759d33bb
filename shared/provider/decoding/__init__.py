"""The payload dialects devices speak, turned into messages: `standard`, `vmark` and `custom`. No input raises."""

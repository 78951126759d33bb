"""The deployed HTTP functions: one file is one function, loaded by functions-framework."""

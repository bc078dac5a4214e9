"""Python: syntax, names in scope, use of APIs, signs of tampering."""

"""What a prompt tells a model about an update: the documentation arms (docs/documentation-arms.md).

Data flow up: `folders` reads what the user names, `docstrings` what a release says of itself;
`mixing`, `retrieval` and `material` choose a text per problem and arm; `shown` keeps the texts with
a run, and `block` puts them into a prompt.
"""

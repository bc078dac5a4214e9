"""What differs between programming languages: text, environments, execution."""

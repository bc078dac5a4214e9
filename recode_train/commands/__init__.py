"""The commands of the trainer: each module adds its options to a parser and calls the library."""

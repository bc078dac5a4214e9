"""JavaScript and TypeScript as languages of answers: everything about their text."""

"""Parameters, counted by what they do and step by step."""

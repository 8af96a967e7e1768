"""A second opinion on what Indelible counts. README.md says what it holds to what; begin with __main__.py."""

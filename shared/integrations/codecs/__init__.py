"""Codecs as an organization keeps them: rows with fixtures, tried before they are saved, lent to whoever decodes."""

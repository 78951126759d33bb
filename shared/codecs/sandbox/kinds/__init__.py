"""The kinds of codecs: `javascript`, and the formats, whose modules each have a class `Kind(source)`."""

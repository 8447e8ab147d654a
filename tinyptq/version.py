"""Versions: of the package, and of the C runtime that generated files check."""

VERSION = "0.1.0"
RUNTIME_VERSION = 1

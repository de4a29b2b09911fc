"""Modules: what holds parameters (`module.py`), in lists (`containers.py`), and the layers."""

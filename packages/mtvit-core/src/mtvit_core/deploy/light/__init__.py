"""Exported models where torch is not installed: numpy, pillow and a runtime."""

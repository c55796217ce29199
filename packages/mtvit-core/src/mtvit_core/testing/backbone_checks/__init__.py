"""The checks of ``BackboneSuite``."""

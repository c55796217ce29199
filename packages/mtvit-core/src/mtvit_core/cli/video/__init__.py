"""Parts of ``mtvit predict`` that are about videos."""

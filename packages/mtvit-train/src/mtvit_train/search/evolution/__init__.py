"""How genomes are proposed, compared and logged, whatever they stand for."""

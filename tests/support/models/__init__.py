"""Models, parts of them and their inputs."""

"""Plain ViTs of timm in which a task may own some of the linear layers."""

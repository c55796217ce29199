"""Published ViTPose and TokenPose checkpoints."""

"""What frozen blocks say of every view of every image, computed once and mapped into memory."""

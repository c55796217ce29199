"""What turns patches into maps, and reads them."""

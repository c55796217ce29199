"""What a second training image brings into a first one."""

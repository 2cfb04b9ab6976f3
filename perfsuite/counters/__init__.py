"""What a pipeline asks of torch and of the machine, counted on any device, real, fake or meta."""

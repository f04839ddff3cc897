"""What is done to depth between the network and the outputs, on the device that it is on."""

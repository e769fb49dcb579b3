"""Edge side: decoding, orientation, resizing; one preprocessing for training and for the device."""

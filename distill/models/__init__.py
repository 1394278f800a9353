"""Loading, shaping and observing encoders."""

"""What is said and drawn of a frame, a module for each system."""

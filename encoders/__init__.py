"""Text and graph encoders: vectors for nodes."""

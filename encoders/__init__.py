"""Text and graph encoders: vectors for nodes."""

from .text import TextEncoder, TextEncoderConfig

__all__ = ["TextEncoder", "TextEncoderConfig"]

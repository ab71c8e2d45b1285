"""Pictures: files, the pyramid, masks, pasting, and what two pictures have in common."""

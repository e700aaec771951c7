"""From what is desired and what is seen to the steps between them."""

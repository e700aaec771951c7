"""What settings may be: their fields and types, one by one, together, and as editors read them."""

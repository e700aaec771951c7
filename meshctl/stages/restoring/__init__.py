"""What a user may want back of a mesh: the file that holds it, and the plan that puts it back."""

"""What makes the generated pages, one module for each kind."""

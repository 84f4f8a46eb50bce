"""What records say, drawn on their videos, before training reads them."""

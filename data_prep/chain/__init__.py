"""Everything that the full-size stages read, made from the data sets' folders by one command."""

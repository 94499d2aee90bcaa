"""The pictures: programs that draw them, and the directive that puts one into a page."""

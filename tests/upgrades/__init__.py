"""Every release's schema with a row of everything, as tests upgrade from it; scripts/release writes them."""

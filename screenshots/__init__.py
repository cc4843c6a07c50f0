"""Pictures of the console and the program that draws them."""

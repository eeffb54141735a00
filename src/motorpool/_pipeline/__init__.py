"""What a pipeline is made of: nodes, their signatures, and the graph of them."""

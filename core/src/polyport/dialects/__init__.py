"""Wire formats that several providers share."""

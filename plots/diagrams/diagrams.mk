# Diagrams: the pictures beside their sources, and the text of each in every page that shows it.
diagrams:
	@bash harness/setup.sh
	for graph in plots/diagrams/*.graph; do perl plots/diagrams/draw svg $$graph >$${graph%.graph}.svg || exit; done
	perl plots/diagrams/draw insert $$(git grep -l '^<!-- diagram ' -- '*.md')
.PHONY: diagrams

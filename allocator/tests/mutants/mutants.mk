# make check-detectors: faults seeded by hand, each of which a test must find (run, here). MUTANTS='word...' takes only
# those whose names contain a word.
MUTANTS ?=

check-detectors:
	@mkdir -p $(BUILD)
	@BUILD=$(BUILD) perl allocator/tests/mutants/run $(MUTANTS)

.PHONY: check-detectors

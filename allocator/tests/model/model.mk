# Exhaustive models of the lock-free protocols (README.md here). `make test` takes the small bounds, `make check-model`
# the large ones, too.
MODEL_TEST := allocator/tests/model/model.t

TESTS += $(MODEL_TEST) allocator/tests/model/litmus.t

check-model:
	@BUILD=$(BUILD) MODEL_LARGE=1 TEST_TIMEOUT_S=14400 TEST_VERBOSE=1 perl .ci/tap $(MODEL_TEST)

.PHONY: check-model

# A long mixed load whose every byte is checked and whose memory may not creep: `make soak SOAK_MIN=30`.
SOAK_SRC := allocator/tests/soak

TESTS += $(SOAK_SRC)/soak.t

soak: allocator $(BUILD)/bench_soak
	@BUILD=$(BUILD) bash $(SOAK_SRC)/soak.sh

.PHONY: soak

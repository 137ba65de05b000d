# What grows with the heap? `make scale-costs` prints a table: 200 GiB of address space, 1 GB of memory, a minute.
SCALE_SEGMENTS ?= 1000 10000 100000

$(BUILD)/tests/scale_costs: allocator/tests/scale/scale_costs.c allocator/tests/scale/scale.mk
	@mkdir -p $(@D)
	@echo '  CC  $(@F)'
	@$(CC) $(BASE_CFLAGS) $(CFLAGS) -fno-builtin $< -o $@

scale-costs: allocator $(BUILD)/tests/scale_costs
	@HZ3_ARENA_SIZE=1T HZ3_EPOCH_TICK_MS=0 LD_PRELOAD=$(BUILD)/libhakozuna_hz3_scale.so \
	    $(BUILD)/tests/scale_costs $(SCALE_SEGMENTS)

.PHONY: scale-costs

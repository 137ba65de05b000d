# The workloads: benchmark programs that speak the HZB1 protocol.

WORKLOADS_OBJ := $(BUILD)/obj/workloads
WORKLOADS_COMMON := util object live hzb_client options crew self_memory
WORKLOADS_PROGRAMS := bench_random_mixed_mt_remote_malloc bench_burst_idle_v2

# The compiler may neither drop nor merge what the benchmarks measure.
WORKLOADS_CFLAGS := $(BASE_CFLAGS) $(CFLAGS) -pthread -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc \
	-fno-builtin-free -fno-builtin-aligned_alloc

PROGRAMS += $(WORKLOADS_PROGRAMS:%=$(BUILD)/%)

$(WORKLOADS_OBJ)/%.o: workloads/%.c workloads/workloads.mk
	@mkdir -p $(@D)
	$(CC) $(WORKLOADS_CFLAGS) -c $< -o $@

$(WORKLOADS_PROGRAMS:%=$(BUILD)/%): $(BUILD)/%: $(WORKLOADS_OBJ)/%.o $(WORKLOADS_COMMON:%=$(WORKLOADS_OBJ)/%.o)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread $^ -o $@

-include $(wildcard $(WORKLOADS_OBJ)/*.d)

# The workloads: benchmark programs that speak the HZB1 protocol, all but bench_soak, which writes CSV.

WORKLOADS_OBJ := $(BUILD)/obj/workloads
WORKLOADS_COMMON := util object live hzb_client options crew course batches latency self_memory
WORKLOADS_PROGRAMS := bench_random_mixed_mt_remote_malloc bench_burst_idle_v2 bench_arena_fill bench_sleepers bench_soak \
	bench_larson bench_deep bench_producer_consumer bench_lifetimes bench_false_sharing bench_realloc bench_large \
	bench_fragment bench_string_map bench_threads bench_periodic

# The compiler may neither drop nor merge what the benchmarks measure.
WORKLOADS_CFLAGS := $(BASE_CFLAGS) $(CFLAGS) -pthread -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc \
	-fno-builtin-free -fno-builtin-aligned_alloc

PROGRAMS += $(WORKLOADS_PROGRAMS:%=$(BUILD)/%)

$(WORKLOADS_OBJ)/%.o: workloads/%.c workloads/workloads.mk
	@mkdir -p $(@D)
	@echo '  CC  $<'
	@$(CC) $(WORKLOADS_CFLAGS) -c $< -o $@

$(WORKLOADS_PROGRAMS:%=$(BUILD)/%): $(BUILD)/%: $(WORKLOADS_OBJ)/%.o $(WORKLOADS_COMMON:%=$(WORKLOADS_OBJ)/%.o)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) $(LDFLAGS) -pthread $^ $(LDLIBS) -o $@

# The latency lane: the same sources once more, with what times calls compiled in.
WORKLOADS_TIMED := bench_random_mixed_mt_remote_malloc bench_larson bench_deep bench_producer_consumer bench_lifetimes
WORKLOADS_TIMED_OBJ := $(BUILD)/obj/workloads_timed
WORKLOADS_PROGRAMS += $(WORKLOADS_TIMED:%=%_timed)
PROGRAMS += $(WORKLOADS_TIMED:%=$(BUILD)/%_timed)

$(WORKLOADS_TIMED_OBJ)/%.o: workloads/%.c workloads/workloads.mk
	@mkdir -p $(@D)
	@echo '  CC  $< (timed)'
	@$(CC) $(WORKLOADS_CFLAGS) -DWORKLOADS_LATENCY=1 -c $< -o $@

$(WORKLOADS_TIMED:%=$(BUILD)/%_timed): $(BUILD)/%_timed: $(WORKLOADS_TIMED_OBJ)/%.o \
		$(WORKLOADS_COMMON:%=$(WORKLOADS_TIMED_OBJ)/%.o)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) $(LDFLAGS) -pthread $^ -o $@

# The one program with a part in C++.
WORKLOADS_CXXFLAGS := -std=c++17 $(filter-out -std=%,$(WORKLOADS_CFLAGS))

$(WORKLOADS_OBJ)/%.o: workloads/%.cpp workloads/workloads.mk
	@mkdir -p $(@D)
	@echo '  CXX $<'
	@$(CXX) $(WORKLOADS_CXXFLAGS) -c $< -o $@

$(BUILD)/bench_string_map: $(WORKLOADS_OBJ)/string_map.o
$(BUILD)/bench_string_map: LDLIBS := -lstdc++

WORKLOADS_CMOCKA := ring_test batches_test protocol_test
WORKLOADS_CMOCKA_TSAN := ring_test batches_test
WORKLOADS_CMOCKA_PROGRAMS := $(WORKLOADS_CMOCKA:%=$(BUILD)/tests/workloads_%)
WORKLOADS_TSAN_PROGRAMS := $(WORKLOADS_CMOCKA_TSAN:%=$(BUILD)/tests/workloads_%_tsan)
WORKLOADS_TESTED := util batches
TESTS += $(WORKLOADS_CMOCKA_PROGRAMS) $(WORKLOADS_TSAN_PROGRAMS) $(wildcard workloads/tests/*.t plots/tests/*.t)

$(WORKLOADS_OBJ)/tests/%.o: WORKLOADS_CFLAGS += -Iworkloads

$(WORKLOADS_CMOCKA_PROGRAMS): $(BUILD)/tests/workloads_%: $(WORKLOADS_OBJ)/tests/%.o \
		$(WORKLOADS_TESTED:%=$(WORKLOADS_OBJ)/%.o)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) $(LDFLAGS) -pthread $^ -lcmocka -o $@

# Always gcc: Debian's clang comes without the sanitizers' runtime.
$(WORKLOADS_TSAN_PROGRAMS): $(BUILD)/tests/workloads_%_tsan: workloads/tests/%.c $(WORKLOADS_TESTED:%=workloads/%.c) \
		$(wildcard workloads/*.h) workloads/workloads.mk
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@gcc $(filter-out -MMD -MP,$(WORKLOADS_CFLAGS)) -Iworkloads -fsanitize=thread $(filter %.c,$^) -lcmocka -o $@

$(BUILD)/tests/lib%_malloc.so: workloads/tests/%_malloc.c workloads/workloads.mk
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(filter-out -MMD -MP,$(WORKLOADS_CFLAGS)) -shared -fPIC $< -o $@

test-programs: $(BUILD)/tests/liboverlapping_malloc.so $(BUILD)/tests/libstalling_malloc.so

-include $(wildcard $(WORKLOADS_TIMED_OBJ)/*.d $(WORKLOADS_OBJ)/*.d $(WORKLOADS_OBJ)/tests/*.d)

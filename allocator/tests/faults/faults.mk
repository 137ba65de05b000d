# hz3 with a layer between it and the kernel that refuses calls on demand, and the same program under seccomp against
# the lanes as they are shipped. `make test` takes a sample, `make check-faults` everything.
FAULTS_SRC := allocator/tests/faults
FAULTS_OBJ := $(BUILD)/obj/hz3_faults
FAULTS_LIB := $(BUILD)/libhakozuna_hz3_faults.so
FAULTS_PLUGIN := $(BUILD)/tests/fault_forbid_plugin.so
FAULTS_TESTS := $(BUILD)/tests/fault_sites_test $(BUILD)/tests/fault_seccomp_test
FAULTS_HZ3_FLAGS := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -g -fPIC -fvisibility=hidden \
    -ftls-model=initial-exec -fno-builtin -pthread -MMD -MP -Iallocator/include -Iallocator/src -I$(FAULTS_SRC) \
    -DHZ3_DEBUG=1 -DHZ3_LANE='"faults"'
FAULTS_OBJECTS := $(patsubst allocator/src/%.c,$(FAULTS_OBJ)/hz3/%.o,$(HZ3_SOURCES)) \
    $(FAULTS_OBJ)/fault_calls.o

TESTS += $(FAULTS_TESTS)

$(FAULTS_OBJ)/hz3/%.o: allocator/src/%.c $(FAULTS_SRC)/faults.mk
	@mkdir -p $(@D)
	@echo '  CC  faults $<'
	@$(CC) $(FAULTS_HZ3_FLAGS) -include $(FAULTS_SRC)/fault_calls.h -c $< -o $@

$(FAULTS_OBJ)/fault_calls.o: $(FAULTS_SRC)/fault_calls.c $(FAULTS_SRC)/faults.mk
	@mkdir -p $(@D)
	@echo '  CC  $<'
	@$(CC) $(FAULTS_HZ3_FLAGS) -c $< -o $@

$(FAULTS_LIB): $(FAULTS_OBJECTS)
	@echo '  LD  $(@F)'
	@$(CC) -shared -pthread -Wl,-z,now -Wl,-z,nodelete -Wl,-z,defs $^ -o $@

$(FAULTS_OBJ)/%.o: $(FAULTS_SRC)/%.c $(FAULTS_SRC)/faults.mk
	@mkdir -p $(@D)
	@echo '  CC  $<'
	@$(CC) $(TESTS_CFLAGS) $(TESTS_GCC_ONLY) -I$(TESTS_SRC) -Iallocator/include -c -o $@ $<

$(BUILD)/tests/fault_workload: $(addprefix $(FAULTS_OBJ)/,fault_workload.o fault_heap.o) $(TESTS_SUPPORT)
$(BUILD)/tests/fault_sites_test: $(addprefix $(FAULTS_OBJ)/,fault_sites_test.o fault_run.o) $(TESTS_SUPPORT)
$(BUILD)/tests/fault_seccomp_test: $(addprefix $(FAULTS_OBJ)/,fault_seccomp_test.o fault_run.o) $(TESTS_SUPPORT)
$(FAULTS_TESTS): $(BUILD)/tests/fault_workload $(FAULTS_LIB) $(FAULTS_PLUGIN)

$(FAULTS_PLUGIN): $(FAULTS_SRC)/fault_forbid_plugin.c $(TESTS_SRC)/support_forbid.c $(TESTS_SRC)/support.h
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(filter-out -MMD -MP,$(TESTS_CFLAGS)) -I$(TESTS_SRC) -fPIC -shared -o $@ $(filter %.c,$^)

$(BUILD)/tests/fault_workload $(FAULTS_TESTS):
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) -pthread -o $@ $(filter %.o,$^) -ldl

check-faults: allocator $(FAULTS_TESTS)
	@BUILD=$(BUILD) FAULTS_STRIDE=1 TEST_TIMEOUT_S=14400 TEST_VERBOSE=1 perl .ci/tap $(FAULTS_TESTS)

.PHONY: check-faults

-include $(wildcard $(FAULTS_OBJ)/*.d $(FAULTS_OBJ)/hz3/*/*.d)

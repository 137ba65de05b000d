# make fuzz: the fuzzer for FUZZ_S seconds, from the corpus here; what it finds goes to $(BUILD)/fuzz. Needs clang with
# its runtime (Debian: clang libclang-rt-dev).
FUZZ_SRC := allocator/tests/fuzz
FUZZ_OBJ := $(BUILD)/obj/hz3_fuzz
FUZZ_CLANG ?= clang
FUZZ_S ?= 60
FUZZ_RENAMED := $(foreach name,$(UNIT_RENAMED),-D$(name)=hz3_fuzz_$(name))
FUZZ_FLAGS := $(BASE_CFLAGS) -O1 -g -Iallocator/include -Iallocator/src -DHZ3_DEBUG=2 -pthread -fno-builtin \
    -Wno-deprecated-declarations $(FUZZ_RENAMED)
FUZZ_OBJECTS := $(patsubst allocator/src/%.c,$(FUZZ_OBJ)/hz3/%.o,$(HZ3_SOURCES)) \
    $(FUZZ_OBJ)/fuzz_api.o $(FUZZ_OBJ)/support_memory.o

$(FUZZ_OBJ)/hz3/%.o: allocator/src/%.c $(FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  fuzz $<'
	@$(FUZZ_CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address -c $< -o $@

$(FUZZ_OBJ)/%.o: $(FUZZ_SRC)/%.c $(FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  fuzz $(@F)'
	@$(FUZZ_CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address -c $< -o $@

$(FUZZ_OBJ)/%.o: $(TESTS_SRC)/%.c $(FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  fuzz $(@F)'
	@$(FUZZ_CLANG) $(FUZZ_FLAGS) -c $< -o $@

$(BUILD)/tests/fuzz_api: $(FUZZ_OBJECTS)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(FUZZ_CLANG) -pthread -fsanitize=fuzzer,address $^ -o $@

fuzz: $(BUILD)/tests/fuzz_api
	@mkdir -p $(BUILD)/fuzz/corpus
	$< -max_total_time=$(FUZZ_S) -timeout=60 -artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/corpus $(FUZZ_SRC)/corpus

# make fuzz-storm: FUZZ_CALLS verified calls of random inputs, or as many as STORM_S seconds allow.
FUZZ_CALLS ?= 1e9
STORM_S ?= 3600
STORM_OBJ := $(FUZZ_OBJ)/storm
STORM_FLAGS := $(BASE_CFLAGS) -O2 -g -Iallocator/include -Iallocator/src -pthread -fno-builtin -Wno-deprecated-declarations \
    $(FUZZ_RENAMED)
STORM_OBJECTS := $(patsubst allocator/src/%.c,$(STORM_OBJ)/hz3/%.o,$(HZ3_SOURCES)) \
    $(addprefix $(STORM_OBJ)/,fuzz_api.o fuzz_storm.o) $(STORM_OBJ)/support_memory.o

$(STORM_OBJ)/hz3/%.o: allocator/src/%.c $(FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  storm $<'
	@$(CC) $(STORM_FLAGS) -c $< -o $@

$(STORM_OBJ)/%.o: $(FUZZ_SRC)/%.c $(FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  storm $(@F)'
	@$(CC) $(STORM_FLAGS) -c $< -o $@

$(STORM_OBJ)/%.o: $(TESTS_SRC)/%.c $(FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  storm $(@F)'
	@$(CC) $(filter-out -fno-builtin,$(STORM_FLAGS)) -c $< -o $@

$(BUILD)/tests/fuzz_storm: $(STORM_OBJECTS)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) -pthread $^ -o $@

fuzz-storm: $(BUILD)/tests/fuzz_storm
	$< $(STORM_S) $(FUZZ_CALLS)

.PHONY: fuzz fuzz-storm

-include $(wildcard $(FUZZ_OBJ)/*.d $(FUZZ_OBJ)/hz3/*/*.d $(STORM_OBJ)/*.d $(STORM_OBJ)/hz3/*/*.d)

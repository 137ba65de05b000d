# make fuzz: the fuzzer for FUZZ_S seconds, from the corpus here; what it finds goes to $(BUILD)/fuzz. Needs clang with
# its runtime (Debian: clang libclang-rt-14-dev), so it is no part of `make test`.
FUZZ_SRC := allocator/tests/fuzz
FUZZ_OBJ := $(BUILD)/obj/hz3_fuzz
FUZZ_CLANG ?= clang
FUZZ_S ?= 60
FUZZ_RENAMED := $(foreach name,$(UNIT_RENAMED),-D$(name)=hz3_fuzz_$(name))
FUZZ_FLAGS := $(BASE_CFLAGS) -O1 -g -Iallocator/include -Iallocator/src -DHZ3_DEBUG=1 -pthread -fno-builtin \
    -Wno-deprecated-declarations $(FUZZ_RENAMED)
FUZZ_OBJECTS := $(patsubst allocator/src/%.c,$(FUZZ_OBJ)/hz3/%.o,$(wildcard allocator/src/*.c)) \
    $(FUZZ_OBJ)/fuzz_api.o $(FUZZ_OBJ)/support_memory.o

$(FUZZ_OBJ)/hz3/%.o: allocator/src/%.c $(FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  fuzz $<'
	@$(FUZZ_CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address -c $< -o $@

$(FUZZ_OBJ)/%.o: $(FUZZ_SRC)/%.c $(FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  fuzz $(@F)'
	@$(FUZZ_CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address -c $< -o $@

$(FUZZ_OBJ)/%.o: allocator/tests/%.c $(FUZZ_SRC)/fuzz.mk
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

.PHONY: fuzz

-include $(wildcard $(FUZZ_OBJ)/*.d $(FUZZ_OBJ)/*/*.d)

# make fuzz runs this, too: hzb's readers of files under libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, for
# FUZZ_S seconds from the corpus here; what is found goes to $(BUILD)/fuzz. `make test` runs the corpus and a few
# thousand inputs more (fuzz.t).
HZB_FUZZ_SRC := harness/tests/fuzz
HZB_FUZZ_OBJ := $(BUILD)/obj/hzb_fuzz
HZB_FUZZ_READERS := base/csvio base/expression base/files base/subprocess base/util config/columns config/config \
    config/config_check config/config_load config/yamlfile plan/plan record/hyperfine record/record stats/spread stats/stats
HZB_FUZZ_SANITIZE := address,undefined,float-cast-overflow
HZB_FUZZ_FLAGS := $(BASE_CFLAGS) -O1 -g -Iharness/src -Dhzb_error=fuzz_hzb_error \
    -DFUZZ_CONFIG_DIR='"$(CURDIR)/harness"' -DHZB_MULTIARCH='"$(HZB_MULTIARCH)"' \
    -fsanitize=fuzzer-no-link,$(HZB_FUZZ_SANITIZE) -fno-sanitize-recover=all
HZB_FUZZ := $(BUILD)/tests/fuzz_readers
TESTS += $(HZB_FUZZ_SRC)/fuzz.t
test-programs: $(HZB_FUZZ)

$(HZB_FUZZ_OBJ)/%.o: harness/src/%.c $(HZB_FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  fuzz $<'
	@$(FUZZ_CLANG) $(HZB_FUZZ_FLAGS) -c $< -o $@

$(HZB_FUZZ_OBJ)/%.o: $(HZB_FUZZ_SRC)/%.c $(HZB_FUZZ_SRC)/fuzz.mk
	@mkdir -p $(@D)
	@echo '  CC  fuzz $(@F)'
	@$(FUZZ_CLANG) $(HZB_FUZZ_FLAGS) -c $< -o $@

$(HZB_FUZZ_OBJ)/base/util.o: HZB_FUZZ_FLAGS += -Uhzb_error

$(HZB_FUZZ): $(HZB_FUZZ_READERS:%=$(HZB_FUZZ_OBJ)/%.o) $(HZB_FUZZ_OBJ)/fuzz_readers.o
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(FUZZ_CLANG) -fsanitize=fuzzer,$(HZB_FUZZ_SANITIZE) $^ $(HZB_LIBS) -o $@

fuzz-readers: $(HZB_FUZZ)
	@mkdir -p $(BUILD)/fuzz/readers
	$< -max_total_time=$(FUZZ_S) -timeout=20 -max_len=65536 -artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/readers \
	    $(HZB_FUZZ_SRC)/corpus
fuzz: fuzz-readers
.PHONY: fuzz-readers

-include $(wildcard $(HZB_FUZZ_OBJ)/*.d $(HZB_FUZZ_OBJ)/*/*.d)

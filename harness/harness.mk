# hzb, the harness.

HZB_OBJ := $(BUILD)/obj/harness
HZB_OBJECTS := $(patsubst harness/src/%.c,$(HZB_OBJ)/%.o,$(wildcard harness/src/*/*.c))
HZB_UNIT_TESTS := $(patsubst harness/tests/%.c,%,$(wildcard harness/tests/*_test.c))
HZB_LIBS := -lcyaml -lyaml -ljansson -lcsv -lsqlite3 -lm
HZB_MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
HZB_CFLAGS := $(BASE_CFLAGS) $(CFLAGS) -Iharness/src -DHZB_MULTIARCH='"$(HZB_MULTIARCH)"'

PROGRAMS += $(BUILD)/hzb $(BUILD)/hzb-launch
TESTS += $(HZB_UNIT_TESTS:%=$(BUILD)/tests/hzb_%) $(sort $(wildcard harness/tests/*.t))
INSTALLS += install-hzb

$(HZB_OBJ)/%.o: harness/src/%.c harness/harness.mk
	@mkdir -p $(@D)
	@echo '  CC  $<'
	@$(CC) $(HZB_CFLAGS) -c $< -o $@

$(HZB_OBJ)/tests/%.o: harness/tests/%.c harness/harness.mk
	@mkdir -p $(@D)
	@echo '  CC  $<'
	@$(CC) $(HZB_CFLAGS) -c $< -o $@

$(BUILD)/hzb: $(HZB_OBJECTS)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) $(LDFLAGS) $^ $(HZB_LIBS) -o $@

# Alone in its process: it starts programs that know nothing of hzb.
$(BUILD)/hzb-launch: harness/launch/hzb_launch.c harness/harness.mk
	@mkdir -p $(HZB_OBJ)
	@echo '  LD  $(@F)'
	@$(CC) $(BASE_CFLAGS) -MF $(HZB_OBJ)/hzb_launch.d $(CFLAGS) $(LDFLAGS) $< -o $@

# Functions that a test replaces.
HZB_WRAP_sweep_test := probe_recent probe_cost
HZB_WRAP_probe_test := monotonic_ns
HZB_WRAP_quiet_test := load1 cpu_ticks psi_cpu_us monotonic_ns sleep

$(HZB_UNIT_TESTS:%=$(BUILD)/tests/hzb_%): $(BUILD)/tests/hzb_%: $(HZB_OBJ)/tests/%.o $(HZB_OBJ)/tests/support.o \
		$(filter-out %/commands/main.o,$(HZB_OBJECTS))
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) $(LDFLAGS) $^ $(HZB_WRAP_$*:%=-Wl,--wrap=%) $(HZB_LIBS) -lcmocka -o $@

# What the *.t scripts measure: a program that misbehaves on demand and two libraries that stand for allocators.
HZB_FAKES := $(BUILD)/tests/hzb_fake_workload $(BUILD)/tests/libhzbfake_a.so $(BUILD)/tests/libhzbfake_b.so
test-programs: $(HZB_FAKES)

$(BUILD)/tests/hzb_fake_workload: $(HZB_OBJ)/tests/fake_workload.o
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@

$(BUILD)/tests/libhzbfake_%.so: harness/tests/fake_library.c harness/harness.mk
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(BASE_CFLAGS) -MF $(HZB_OBJ)/tests/fake_library_$*.d $(CFLAGS) -DFAKE_NAME=fake_$* -fPIC -shared $< -o $@

# Whole programs, for reviewers; ROUNDS and ALLOCATORS as harness/hyperfine.sh has them.
hyperfine: $(BUILD)/hzb allocator
	@BUILD=$(BUILD) bash harness/hyperfine.sh
.PHONY: hyperfine

# hz3 with faults to be found (tests/plant.c): its scale lane's objects, malloc and madvise renamed.
HZB_PLANTED := $(BUILD)/libhzb_planted.so
PROGRAMS += $(HZB_PLANTED)

$(BUILD)/libhakozuna_hz3_scale.so: allocator ;

$(HZB_PLANTED): harness/tests/plant.c $(BUILD)/libhakozuna_hz3_scale.so harness/harness.mk
	@rm -rf $(HZB_OBJ)/planted
	@mkdir -p $(HZB_OBJ)/planted $(HZB_OBJ)/tests
	@echo '  LD  $(@F)'
	@cp $(HZ3_SOURCES:allocator/src/%.c=$(BUILD)/obj/hz3_scale/%.o) $(HZB_OBJ)/planted
	@objcopy --redefine-sym malloc=planted_real_malloc $(HZB_OBJ)/planted/hz3_api.o
	@objcopy --redefine-sym madvise=planted_madvise $(HZB_OBJ)/planted/hz3_os.o
	@$(CC) $(BASE_CFLAGS) -MF $(HZB_OBJ)/tests/plant.d $(CFLAGS) -fno-builtin-malloc -ftls-model=initial-exec -fPIC \
	    -shared -pthread -Wl,-z,now,-z,nodelete,--version-script=allocator/src/api/hz3.map $(HZB_OBJ)/planted/*.o $< -o $@

# hzb looks for all it needs beside its own folder, so it is installed as it stands in the source tree: build/ with the
# programs, harness/ and plots/.
HZB_HOME = $(DESTDIR)$(PREFIX)/lib/hzb
HZB_LIBRARIES := scale fast hardened

install-hzb: $(BUILD)/hzb $(BUILD)/hzb-launch $(HZB_PLANTED)
	install -d $(HZB_HOME)/build $(HZB_HOME)/harness/matrix $(HZB_HOME)/plots $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/hzb $(BUILD)/hzb-launch $(HZB_PLANTED) $(WORKLOADS_PROGRAMS:%=$(BUILD)/%) $(HZB_HOME)/build
	for lane in $(HZB_LIBRARIES); do \
	    ln -sfn ../../libhakozuna_hz3_$$lane.so $(HZB_HOME)/build/libhakozuna_hz3_$$lane.so || exit 1; done
	install -m 644 harness/allocators.yaml harness/workloads.yaml $(HZB_HOME)/harness
	install -m 644 harness/matrix/*.yaml $(HZB_HOME)/harness/matrix
	install -m 644 plots/*.gp $(HZB_HOME)/plots
	ln -sfn ../lib/hzb/build/hzb $(DESTDIR)$(PREFIX)/bin/hzb
	install -D -m 644 harness/hzb.1 $(DESTDIR)$(PREFIX)/share/man/man1/hzb.1
.PHONY: install-hzb

-include $(wildcard $(HZB_OBJ)/*/*.d)

-include harness/tests/fuzz/fuzz.mk

# hzb, the harness.

HZB_OBJ := $(BUILD)/obj/harness
HZB_SOURCES := $(wildcard harness/src/*.c)
HZB_OBJECTS := $(HZB_SOURCES:harness/src/%.c=$(HZB_OBJ)/%.o)
HZB_LIBS := -lcyaml -lyaml -ljansson -lcsv
HZB_MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
HZB_CFLAGS := $(BASE_CFLAGS) $(CFLAGS) -DHZB_MULTIARCH='"$(HZB_MULTIARCH)"'

PROGRAMS += $(BUILD)/hzb

$(HZB_OBJ)/%.o: harness/src/%.c harness/harness.mk
	@mkdir -p $(@D)
	$(CC) $(HZB_CFLAGS) -c $< -o $@

$(BUILD)/hzb: $(HZB_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(HZB_LIBS) -o $@

-include $(HZB_OBJECTS:.o=.d)

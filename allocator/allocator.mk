# hz3 as the top level sees it: allocator/Makefile builds the lanes, so that it also works alone (`make -C allocator`).
allocator:
	@$(MAKE) --no-print-directory -C allocator BUILD=$(abspath $(BUILD)) CC=$(CC)
.PHONY: allocator

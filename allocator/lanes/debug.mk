# Asserts, lock ranks and validators on; what the tests run beside the product.
LANE_DEFS := -DHZ3_DEBUG=2 -DHZ3_LANE_FRONT_BYTES=1M -DHZ3_LANE_DEPOT_BYTES=1M
LANE_CFLAGS := -O1

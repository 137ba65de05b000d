# The default: little cached per thread, so that many threads stay small.
LANE_DEFS := -DHZ3_LANE_FRONT_BYTES=256K -DHZ3_LANE_TRANSFER_BYTES=1M

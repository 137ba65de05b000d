# Few threads, speed first: larger caches everywhere.
LANE_DEFS := -DHZ3_FRONT_CPU=0 -DHZ3_LANE_FRONT_BYTES=2M -DHZ3_LANE_TRANSFER_BYTES=2M

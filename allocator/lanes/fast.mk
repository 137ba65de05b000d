# Few threads, speed first: larger thread caches.
LANE_DEFS := -DHZ3_LANE_FRONT_BYTES=1M -DHZ3_LANE_TRANSFER_BYTES=2M

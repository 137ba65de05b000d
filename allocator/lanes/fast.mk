# The thread front at once, for a C library without restartable sequences; larger caches for few threads.
LANE_DEFS := -DHZ3_FRONT_CPU=0 -DHZ3_LANE_FRONT_BYTES=2M -DHZ3_LANE_DEPOT_BYTES=1M

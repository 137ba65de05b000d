# Every malloc and free asks what is known of the block (hz3_harden.h); bins of 128 KiB, for what they hold is checked late.
LANE_DEFS := -DHZ3_HARDENED=1 -DHZ3_LANE_HARDEN=all -DHZ3_FRONT_CPU=0 -DHZ3_LANE_FRONT_BYTES=128K -DHZ3_LANE_DEPOT_BYTES=1M

# The default: CPU front; bins as large as the medium cells repay, depots of 1 MiB, beyond which runs bring order back.
LANE_DEFS := -DHZ3_LANE_FRONT_BYTES=1M -DHZ3_LANE_DEPOT_BYTES=1M

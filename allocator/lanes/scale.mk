# The default: CPU front; bins as large as the medium cells repay, depots without a limit, as epochs give back what is surplus.
LANE_DEFS := -DHZ3_LANE_FRONT_BYTES=1M -DHZ3_LANE_DEPOT_BYTES=8T

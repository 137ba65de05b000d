# The default: bins as large as the medium cells repay, small transfer arrays, which keep the peak low.
LANE_DEFS := -DHZ3_LANE_FRONT_BYTES=1M -DHZ3_LANE_TRANSFER_BYTES=2M

# The default: CPU front; bins and transfer arrays as large as the medium cells repay, as epochs give back what is surplus.
LANE_DEFS := -DHZ3_LANE_FRONT_BYTES=1M -DHZ3_LANE_TRANSFER_BYTES=2M

# The workloads: benchmark programs that speak the HZB1 protocol.

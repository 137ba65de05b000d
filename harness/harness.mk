# hzb, the harness.

// Whole blocks that are measured again: what the machine spoilt is not lost, and costs no other block.
#ifndef HZB_AGAIN_H
#define HZB_AGAIN_H

#include "sweep/state.h"

// A machine that changes its mode every few seconds gives no sample without a change, however often it is asked. So at
// most a quarter as many samples as are planned, or 40, are measured again for their mode's sake. From then on samples
// stay as they are: one that saw a change is of no mode, and pairs with any.
bool again_waits_for_modes(const Sweep *sweep);

// If the arms of the block that ends the record saw several modes of the machine, its rows go to rejected.csv and the
// record ends before them, so that they are run next. At most twice a block; then it stays, for some pairs are valid.
HzbExit again_last_block_if_mixed(Sweep *sweep);

// Measures blocks of the first set again in which the machine disturbed some sample, while their cells have fewer valid
// rounds than were planned at least. Each at most twice, in its place in the record.
HzbExit again_lost_blocks(Sweep *sweep);
// Measures every block of either set again in which some sample is neither ok nor skipped, once, however often that was
// done before.
HzbExit again_bad_blocks(Sweep *sweep);

#endif

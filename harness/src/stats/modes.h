// The modes of a machine: groups of a positive figure (nanoseconds of a probe) with gaps between them. Where the groups
// lie is found from the figures alone, for every machine has other ones.
#ifndef HZB_MODES_H
#define HZB_MODES_H

typedef struct {
    double lo, hi; // the least and the greatest figure
    double median;
    unsigned n;
} Mode;

// In ascending order.
typedef struct {
    Mode *items;
    unsigned count;
} Modes;

// Two neighbours of the sorted figures belong to two modes if the greater is more than this times the less. Within one
// mode a probe repeats itself to a few percent; the modes that were seen differ by a half and more.
#define MODES_GAP 1.25

// Figures that are not above 0 or not finite count nowhere.
Modes modes_find(const double *figures, unsigned n);
void modes_free(Modes *modes);

// Index of the mode that holds the figure or, of those not farther than a gap, the nearest; -1 if there is none or the
// figure is unknown.
int modes_index(const Modes *modes, double figure);

#endif

// What all pages share: their look, and how they begin and end.
#ifndef HZB_PAGE_FRAME_H
#define HZB_PAGE_FRAME_H

#include <stdio.h>

void page_begin(FILE *out, const char *title);
void page_end(FILE *out);

#endif

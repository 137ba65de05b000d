// For the unit tests: a folder of their own and a look at what hzb says.
#ifndef HZB_TEST_SUPPORT_H
#define HZB_TEST_SUPPORT_H

#include <stddef.h>

// A fresh folder, removed at exit.
const char *test_dir(void);
// test_dir()/name; the result lives until the test program ends.
char *test_path(const char *name);
void test_write(const char *name, const char *text, size_t length);
void test_write_text(const char *name, const char *text);

// From begin on, stderr goes to a file; end gives what was said and restores stderr.
void capture_begin(void);
char *capture_end(void);

#endif

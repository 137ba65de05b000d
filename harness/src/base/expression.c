#include "base/expression.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64, DEPTH_MAX = 32 };

// Recursive descent. What is unknown is NAN, which goes through every operation.
typedef struct Reader {
    const char *at;
    ExpressionLookup lookup;
    const void *context;
    unsigned depth;
    bool is_faulty; // `at` stays where it is
} Reader;

static double sum_read(Reader *reader);

static bool take(Reader *reader, char wanted)
{
    while (isspace((unsigned char)*reader->at))
        reader->at++;
    if (reader->is_faulty || *reader->at != wanted) return false;
    reader->at++;
    return true;
}

static double fault(Reader *reader)
{
    reader->is_faulty = true;
    return NAN;
}

static double name_read(Reader *reader)
{
    char name[NAME_MAX_BYTES];
    size_t length = 0;
    double value;
    while (isalnum((unsigned char)reader->at[length]) || reader->at[length] == '_')
        length++;
    if (length >= sizeof name) return fault(reader);
    memcpy(name, reader->at, length);
    name[length] = '\0';
    reader->at += length;
    return reader->lookup(reader->context, name, &value) ? value : NAN;
}

static double atom_read(Reader *reader)
{
    if (take(reader, '(')) {
        if (++reader->depth > DEPTH_MAX) return fault(reader);
        double value = sum_read(reader);
        reader->depth--;
        return take(reader, ')') ? value : fault(reader);
    }
    if (isalpha((unsigned char)*reader->at)) return name_read(reader);
    if (!isdigit((unsigned char)*reader->at)) return fault(reader);
    char *end;
    double value = strtod(reader->at, &end);
    reader->at = end;
    return value;
}

static double product_read(Reader *reader)
{
    double value = atom_read(reader);
    for (;;) {
        if (take(reader, '*'))
            value *= atom_read(reader);
        else if (take(reader, '/'))
            value /= atom_read(reader);
        else
            return value;
    }
}

static double sum_read(Reader *reader)
{
    double value = product_read(reader);
    for (;;) {
        if (take(reader, '+'))
            value += product_read(reader);
        else if (take(reader, '-'))
            value -= product_read(reader);
        else
            return value;
    }
}

ExpressionEnd expression_value(const char *text, ExpressionLookup lookup, const void *context, double *value,
                               const char **place)
{
    Reader reader = {.at = text, .lookup = lookup, .context = context};
    *value = sum_read(&reader);
    if (!reader.is_faulty && !take(&reader, '\0')) reader.is_faulty = true;
    *place = reader.is_faulty ? reader.at : NULL;
    return reader.is_faulty ? EXPRESSION_FAULTY : isfinite(*value) ? EXPRESSION_OK : EXPRESSION_UNKNOWN;
}

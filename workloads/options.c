#include "options.h"

#include "latency.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_TOUCH = 256, KEY_SEED, KEY_MATCHED, KEY_EVERY, EVERY_MAX = 1000000000 };

static const char *const touch_names[] = {[TOUCH_NONE] = "none", [TOUCH_PAGE] = "page", [TOUCH_ALL] = "all"};

static bool number_parse(const char *text, uint64_t scale, uint64_t *value)
{
    if (!isdigit((unsigned char)*text)) return false;
    char *end;
    errno = 0;
    uint64_t whole = strtoull(text, &end, 10);
    if (errno != 0 || whole > UINT64_MAX / scale - 1) return false;
    *value = whole * scale;
    if (*end == '.' && scale > 1)
        for (uint64_t unit = scale / 10; isdigit((unsigned char)*++end); unit /= 10)
            *value += unit * (uint64_t)(*end - '0');
    return *end == '\0';
}

// The index of `text` among the words, or -1.
static int word_index(const char *const *words, const char *text)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], text) == 0) return i;
    return -1;
}

static void word_set(struct argp_state *state, const Positional *p, const char *text)
{
    int index = word_index(p->words, text);
    if (index >= 0) {
        *p->value = (uint64_t)index;
        return;
    }
    char expected[128] = "";
    for (int i = 0; p->words[i] != NULL; i++) {
        const char *joint = i == 0 ? "" : p->words[i + 1] == NULL ? " or " : ", ";
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", joint, p->words[i]);
    }
    argp_error(state, "argument %s: '%s': expected %s", p->name, text, expected);
}

static void positional_reject(struct argp_state *state, const Positional *p, uint64_t min, const char *text)
{
    argp_error(state, "argument %s: '%s': expected a %s number from %.15g to %.15g", p->name, text,
               p->scale > 1 ? "decimal" : "whole", (double)min / (double)p->scale, (double)p->max / (double)p->scale);
}

static void positional_set(struct argp_state *state, const CommandLine *line, const char *text)
{
    if (state->arg_num >= line->n_positionals)
        argp_error(state, "argument %u: '%s': expected at most %u arguments", state->arg_num + 1, text,
                   line->n_positionals);
    const Positional *p = &line->positionals[state->arg_num];
    if (p->words != NULL) {
        word_set(state, p, text);
        return;
    }
    uint64_t min = p->at_least != NULL && *p->at_least > p->min ? *p->at_least : p->min;
    uint64_t value;
    if (!number_parse(text, p->scale, &value) || value < min || value > p->max) positional_reject(state, p, min, text);
    *p->value = value;
}

static void positionals_end(struct argp_state *state, const CommandLine *line)
{
    if (state->arg_num < line->n_required)
        argp_error(state, "argument %s is missing", line->positionals[state->arg_num].name);
    for (unsigned i = state->arg_num; i < line->n_positionals; i++) {
        const Positional *p = &line->positionals[i];
        if (p->at_least == NULL || *p->value >= *p->at_least) continue;
        char text[24];
        snprintf(text, sizeof text, "%" PRIu64, *p->value);
        positional_reject(state, p, *p->at_least, text);
    }
}

static void touch_set(struct argp_state *state, CommonOptions *common, const char *text)
{
    for (Touch t = TOUCH_NONE; t <= TOUCH_ALL; t++) {
        if (strcmp(text, touch_names[t]) != 0) continue;
        common->touch = t;
        return;
    }
    argp_error(state, "option --touch: '%s': expected none, page or all", text);
}

static error_t option_handle(int key, char *text, struct argp_state *state)
{
    const CommandLine *line = state->input;
    char negative[64];
    switch (key) {
    case ARGP_KEY_ARG:
        positional_set(state, line, text);
        return 0;
    case ARGP_KEY_END:
        positionals_end(state, line);
        return 0;
    case KEY_TOUCH:
        touch_set(state, line->common, text);
        return 0;
    case KEY_SEED:
        if (!number_parse(text, 1, &line->common->seed))
            argp_error(state, "option --seed: '%s': expected a whole number from 0 to 2^64 - 2", text);
        return 0;
    case KEY_EVERY:
        if (!LATENCY_LANE) argp_error(state, "option --every: only the programs named *_timed have it");
        if (!number_parse(text, 1, &line->common->every) || line->common->every < 1 || line->common->every > EVERY_MAX)
            argp_error(state, "option --every: '%s': expected a whole number from 1 to %d", text, EVERY_MAX);
        return 0;
    case KEY_MATCHED:
        line->common->matched = true;
        return 0;
    default:
        if (key < '0' || key > '9') return ARGP_ERR_UNKNOWN;
        snprintf(negative, sizeof negative, "-%c%s", key, text != NULL ? text : "");
        positional_set(state, line, negative);
        return 0;
    }
}

// A negative number looks like an option. It is taken as one, to get the message of the argument that it stands for.
#define NEGATIVE(digit)                                                                                                \
    {                                                                                                                  \
        .key = digit, .arg = "N", .flags = OPTION_HIDDEN | OPTION_ARG_OPTIONAL                                         \
    }

void options_parse(const CommandLine *line, int argc, char **argv)
{
    line->common->every = LATENCY_EVERY_DEFAULT;
    struct argp_option options[] = {
        {.name = "seed", .key = KEY_SEED, .arg = "N", .doc = "Seed of the random numbers (default 1)"},
        NEGATIVE('0'),
        NEGATIVE('1'),
        NEGATIVE('2'),
        NEGATIVE('3'),
        NEGATIVE('4'),
        NEGATIVE('5'),
        NEGATIVE('6'),
        NEGATIVE('7'),
        NEGATIVE('8'),
        NEGATIVE('9'),
        {.name = "every",
         .key = KEY_EVERY,
         .arg = "K",
         .flags = LATENCY_LANE ? 0 : OPTION_HIDDEN,
         .doc = "Time one of K calls, drawn at random (default 100)"},
        // What a program may lack stands last: an entry without a name ends the list.
        {.name = line->no_touch ? NULL : "touch",
         .key = line->no_touch ? 0 : KEY_TOUCH,
         .arg = "none|page|all",
         .doc =
             line->no_touch
                 ? NULL
                 : "Write to each block: not at all, one byte a page and a stamp at its start (default), every byte"},
        {.name = line->has_matched ? "matched" : NULL,
         .key = line->has_matched ? KEY_MATCHED : 0,
         .doc = line->has_matched ? "Wait for room in a full ring instead of freeing locally" : NULL},
        {0},
    };
    struct argp argp = {.options = options, .parser = option_handle, .args_doc = line->args_doc, .doc = line->doc};
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, (void *)(uintptr_t)line);
}

void options_print(const CommandLine *line, const char *more)
{
    printf("[BENCH_ARGS]");
    for (unsigned i = 0; i < line->n_positionals; i++) {
        const Positional *p = &line->positionals[i];
        if (p->words != NULL)
            printf(" %s=%s", p->name, p->words[*p->value]);
        else
            printf(" %s=%.15g", p->name, (double)*p->value / (double)p->scale);
    }
    if (!line->no_touch) printf(" touch=%s", touch_names[line->common->touch]);
    printf(" seed=%" PRIu64, line->common->seed);
    if (line->has_matched) printf(" matched=%d", line->common->matched);
    printf("%s\n", more);
    fflush(stdout);
}

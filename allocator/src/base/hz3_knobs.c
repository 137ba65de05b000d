#include "base/hz3_knobs.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/hz3_config_rss_memory.h"
#include "base/hz3_log.h"

// A lane may set these with -D. The tests' own builds are no lanes and have small depots, so that objects come by their
// runs often.
#ifndef HZ3_LANE_FRONT_BYTES
#define HZ3_LANE_FRONT_BYTES 1M
#endif
#ifndef HZ3_LANE_DEPOT_BYTES
#define HZ3_LANE_DEPOT_BYTES 256K
#endif

#ifndef HZ3_LANE_HARDEN
#define HZ3_LANE_HARDEN none
#endif

typedef enum { KNOB_BOOL, KNOB_COUNT, KNOB_BYTES, KNOB_CHOICE, KNOB_FLAGS, KNOB_PATH } KnobType;

typedef struct Knob {
    const char *name;
    KnobType type;
    const char *build_value;   // "HZ3_<name>" itself unless -DHZ3_<name>=... gave it a value
    const char *default_value; // text, parsed like the environment's, so that a suffix works everywhere
    const char *min;
    const char *max;
    const char *meaning;
    void *value;
} Knob;

Hz3Knobs hz3_knobs;

#define TEXT(...) #__VA_ARGS__
#define EXPANDED_TEXT(...) TEXT(__VA_ARGS__)

static const Knob knobs[] = {
#define HZ3_KNOB(knob, knob_type, knob_default, knob_min, knob_max, knob_meaning)                                      \
    {.name = "HZ3_" #knob,                                                                                             \
     .type = KNOB_##knob_type,                                                                                         \
     .build_value = EXPANDED_TEXT(HZ3_##knob),                                                                         \
     .default_value = EXPANDED_TEXT(knob_default),                                                                     \
     .min = #knob_min,                                                                                                 \
     .max = #knob_max,                                                                                                 \
     .meaning = knob_meaning,                                                                                          \
     .value = &hz3_knobs.knob},
#include "base/hz3_knobs.def"
#undef HZ3_KNOB
};

#define KNOB_COUNT_ALL (sizeof knobs / sizeof knobs[0])

#define NAME_SHOWN_MAX 100u // bytes of a name or a value, in a message

static bool parse_number(const char *text, bool suffix_allowed, uint64_t *out)
{
    if (*text < '0' || *text > '9') {
        return false;
    }
    int saved_errno = errno;
    errno = 0;
    char *end;
    bool is_hex = text[0] == '0' && tolower(text[1]) == 'x';
    uint64_t number = strtoull(text, &end, is_hex ? 16 : 10);
    bool in_range = errno == 0;
    errno = saved_errno;
    const char *suffixes = "KMGT";
    const char *suffix = isalpha((unsigned char)*end) && suffix_allowed ? strchr(suffixes, toupper(*end)) : NULL;
    uint32_t shift = 0;
    if (suffix != NULL) {
        shift = 10 * (uint32_t)(suffix - suffixes + 1);
        end++;
    }
    *out = number << shift;
    return in_range && *end == '\0' && (*out >> shift) == number;
}

// The place of the word of this length in "first|second|...".
static bool parse_choice(const char *choices, const char *text, size_t length, uint64_t *out)
{
    uint64_t place = 0;
    for (const char *at = choices;; place++) {
        size_t choice_length = strcspn(at, "|");
        if (choice_length == length && memcmp(at, text, length) == 0) {
            *out = place;
            return true;
        }
        if (at[choice_length] == '\0') {
            return false;
        }
        at += choice_length + 1;
    }
}

static uint64_t all_flags(const char *choices)
{
    uint64_t flags = 1;
    for (; *choices != '\0'; choices++) {
        flags = *choices == '|' ? flags << 1 | 1 : flags;
    }
    return flags;
}

// "all", "none", or words of "first|second|..." with commas between them.
static bool parse_flags(const char *choices, const char *text, uint64_t *out)
{
    if (strcmp(text, "all") == 0 || strcmp(text, "none") == 0) {
        *out = text[0] == 'a' ? all_flags(choices) : 0;
        return true;
    }
    uint64_t flags = 0;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        uint64_t place;
        if (!parse_choice(choices, at, length, &place)) {
            return false;
        }
        flags |= (uint64_t)1 << place;
        at += length;
        if (*at == '\0') {
            *out = flags;
            return true;
        }
    }
}

static const char *type_text(KnobType type)
{
    switch (type) {
    case KNOB_BOOL:
        return "0 or 1";
    case KNOB_COUNT:
        return "a whole number";
    case KNOB_BYTES:
        return "bytes, with K, M, G or T";
    default:
        return "text";
    }
}

// Returns false and leaves the knob alone when the text is not a value of its type and range.
static bool set_knob(const Knob *knob, const char *text)
{
    if (knob->type == KNOB_PATH) {
        *(const char **)knob->value = *text != '\0' ? text : NULL;
        return true;
    }
    uint64_t number;
    if (knob->type == KNOB_CHOICE || knob->type == KNOB_FLAGS) {
        bool is_known = knob->type == KNOB_CHOICE ? parse_choice(knob->min, text, strlen(text), &number)
                                                  : parse_flags(knob->min, text, &number);
        *(uint64_t *)knob->value = is_known ? number : *(uint64_t *)knob->value;
        return is_known;
    }
    uint64_t min;
    uint64_t max;
    bool is_bytes = knob->type == KNOB_BYTES;
    if (!parse_number(knob->min, true, &min) || !parse_number(knob->max, true, &max) ||
        !parse_number(text, is_bytes, &number) || number < min || number > max) {
        return false;
    }
    if (knob->type == KNOB_BOOL) {
        *(bool *)knob->value = number != 0;
    } else {
        *(uint64_t *)knob->value = number;
    }
    return true;
}

// Returns the text that holds from now on.
static const char *set_knob_or_complain(const Knob *knob, const char *text, const char *where, const char *standing)
{
    if (set_knob(knob, text)) {
        return text;
    }
    if (knob->type == KNOB_CHOICE) {
        hz3_log("hz3: %s=%.100s (%s) is not one of %s; the default %s stays", knob->name, text, where, knob->min,
                standing);
    } else if (knob->type == KNOB_FLAGS) {
        hz3_log("hz3: %s=%.100s (%s) is not all, none, or words of %s with commas between; the default %s stays",
                knob->name, text, where, knob->min, standing);
    } else {
        hz3_log("hz3: %s=%.100s (%s) is not %s from %s to %s; the default %s stays", knob->name, text, where,
                type_text(knob->type), knob->min, knob->max, standing);
    }
    return standing;
}

// A mistyped name would silently measure the defaults. A setuid program repeats nothing that its caller wrote.
static void complain_about_unknown_names(void)
{
    if (getauxval(AT_SECURE) != 0) {
        return;
    }
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        size_t length = strcspn(*entry, "=");
        // make exports the build's own variable to what it runs.
        bool is_known = strncmp(*entry, "HZ3_", 4) != 0 || strncmp(*entry, "HZ3_LDPRELOAD_", 14) == 0;
        for (size_t i = 0; i < KNOB_COUNT_ALL && !is_known; i++) {
            is_known = strlen(knobs[i].name) == length && strncmp(*entry, knobs[i].name, length) == 0;
        }
        if (!is_known) {
            hz3_log("hz3: %.*s is no knob and has no effect; HZ3_KNOBS=1 lists them",
                    (int)(length < NAME_SHOWN_MAX ? length : NAME_SHOWN_MAX), *entry);
        }
    }
}

// The checks cost instructions on every path, so they are a library of their own and no switch.
static void complain_about_missing_checks(void)
{
    if (!HZ3_HARDENED && hz3_knobs.HARDEN != 0) {
        hz3_log("hz3: HZ3_HARDEN has no effect in lane " HZ3_LANE "; libhakozuna_hz3_hardened.so has the checks");
    }
}

void hz3_knobs_read(void)
{
    complain_about_unknown_names();
    for (size_t i = 0; i < KNOB_COUNT_ALL; i++) {
        const Knob *knob = &knobs[i];
        const char *standing = knob->default_value;
        set_knob(knob, standing);
        if (strcmp(knob->build_value, knob->name) != 0) {
            standing = set_knob_or_complain(knob, knob->build_value, "build", standing);
        }
        const char *text = secure_getenv(knob->name);
        if (text != NULL) {
            set_knob_or_complain(knob, text, "environment", standing);
        }
    }
    complain_about_missing_checks();
}

// A word of the list, or several with commas between.
static void print_words(const Knob *knob)
{
    uint64_t value = *(uint64_t *)knob->value;
    char words[128];
    size_t length = 0;
    uint64_t place = 0;
    for (const char *choice = knob->min;; place++, choice++) {
        size_t choice_length = strcspn(choice, "|");
        bool is_set = knob->type == KNOB_FLAGS ? (value >> place & 1) != 0 : place == value;
        if (is_set && length + choice_length + 2 < sizeof words) {
            words[length] = ',';
            memcpy(words + length + 1, choice, choice_length);
            length += choice_length + 1;
        }
        choice += choice_length;
        if (*choice == '\0') {
            break;
        }
    }
    words[length] = '\0';
    hz3_log("%s=%s (default %s, %s) %s", knob->name, length == 0 ? "none" : words + 1, knob->default_value, knob->min,
            knob->meaning);
}

void hz3_knobs_print(void)
{
    for (size_t i = 0; i < KNOB_COUNT_ALL; i++) {
        const Knob *knob = &knobs[i];
        if (knob->type == KNOB_PATH) {
            const char *path = *(const char **)knob->value;
            hz3_log("%s=%s (text) %s", knob->name, path != NULL ? path : "", knob->meaning);
            continue;
        }
        if (knob->type == KNOB_CHOICE || knob->type == KNOB_FLAGS) {
            print_words(knob);
            continue;
        }
        uint64_t number = knob->type == KNOB_BOOL ? *(bool *)knob->value : *(uint64_t *)knob->value;
        hz3_log("%s=%llu (default %s, %s..%s) %s", knob->name, (unsigned long long)number, knob->default_value,
                knob->min, knob->max, knob->meaning);
    }
}

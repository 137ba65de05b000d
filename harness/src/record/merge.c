#include "record/merge.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/csvio.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "record/manifest.h"
#include "record/results.h"

typedef struct Piece {
    Results results;
    RunRows rejected;
    CsvTable counters;
    json_t *manifest;
    char *whole_plan; // the text of plan_whole.csv
} Piece;

typedef struct Pieces {
    Piece *pieces;
    unsigned count;
} Pieces;

static bool load_piece(const char *dir, Piece *piece)
{
    char *plan = xfmt("%s/" PLAN_WHOLE_FILE, dir), *counters = xfmt("%s/counters.csv", dir);
    piece->whole_plan = file_text(plan);
    if (!piece->whole_plan) hzb_error("%s: %s; expected a folder made with --shard", plan, strerror(errno));
    bool ok = piece->whole_plan && results_load(dir, &piece->results) && rejected_load(dir, &piece->rejected) &&
              csv_load(counters, &piece->counters) && (piece->manifest = manifest_json(dir));
    free(plan);
    free(counters);
    return ok;
}

// Two texts that must be the same line by line.
static bool same_plan(const Piece *a, const Piece *b)
{
    const char *x = a->whole_plan, *y = b->whole_plan;
    for (unsigned line = 1;; line++) {
        int x_length = (int)strcspn(x, "\n"), y_length = (int)strcspn(y, "\n");
        if (x_length != y_length || strncmp(x, y, (size_t)x_length) != 0) {
            hzb_error("%s and %s: another plan: line %u of " PLAN_WHOLE_FILE " is '%.*s' and '%.*s'", a->results.dir,
                      b->results.dir, line, x_length, x, y_length, y);
            return false;
        }
        x += x_length + (x[x_length] == '\n');
        y += y_length + (y[y_length] == '\n');
        if (!*x && !*y) return true;
    }
}

static bool differ(const Piece *a, const Piece *b, const char *what, const char *name, const char *x, const char *y)
{
    hzb_error("%s and %s: %s '%s' is '%s' and '%s'", a->results.dir, b->results.dir, what, name, x ? x : "nothing",
              y ? y : "nothing");
    return false;
}

static bool same_text(const char *x, const char *y)
{
    return (!x && !y) || (x && y && strcmp(x, y) == 0);
}

// What lies where may differ from machine to machine; what was measured may not.
static bool same_list(const Piece *a, const Piece *b, const char *list, const char *what, const char *settings)
{
    const json_t *left = json_object_get(a->manifest, list), *right = json_object_get(b->manifest, list);
    bool same = json_array_size(left) == json_array_size(right);
    if (!same) hzb_error("%s and %s: not the same %s", a->results.dir, b->results.dir, list);
    for (size_t i = 0; same && i < json_array_size(left); i++) {
        const json_t *x = json_array_get(left, i), *y = json_array_get(right, i);
        const char *name = json_string_value(json_object_get(x, "name"));
        const char *other = json_string_value(json_object_get(y, "name"));
        const char *x_sha = json_string_value(json_object_get(x, "sha256"));
        const char *y_sha = json_string_value(json_object_get(y, "sha256"));
        if (!same_text(name, other)) return differ(a, b, what, name, name, other);
        if (!same_text(x_sha, y_sha)) return differ(a, b, what, name, x_sha, y_sha);
        same = json_equal(json_object_get(x, settings), json_object_get(y, settings));
        if (!same) hzb_error("%s and %s: %s '%s': another %s", a->results.dir, b->results.dir, what, name, settings);
    }
    return same;
}

// The C library is the allocator of arms that preload none, and below all others.
static bool same_libc(const Piece *a, const Piece *b)
{
    const char *x = json_string_value(json_object_get(json_object_get(a->manifest, "host"), "libc"));
    const char *y = json_string_value(json_object_get(json_object_get(b->manifest, "host"), "libc"));
    return same_text(x, y) || differ(a, b, "C library of", "host", x, y);
}

static bool disjoint(const Piece *a, const Piece *b)
{
    for (unsigned i = 0; i < a->results.plan.count; i++)
        for (unsigned k = 0; k < b->results.plan.count; k++)
            if (a->results.plan.rows[i].seq == b->results.plan.rows[k].seq) {
                hzb_error("%s and %s: both have seq %u (cell %s)", a->results.dir, b->results.dir,
                          a->results.plan.rows[i].seq, a->results.plan.rows[i].cell_id);
                return false;
            }
    return true;
}

static bool fit(const Pieces *pieces)
{
    for (unsigned i = 0; i < pieces->count; i++) {
        const Piece *first = &pieces->pieces[0], *piece = &pieces->pieces[i];
        if (i > 0 && (!same_plan(first, piece) || !same_list(first, piece, "allocators", "library", "env") ||
                      !same_list(first, piece, "workloads", "program", "argv") || !same_libc(first, piece)))
            return false;
        for (unsigned k = 0; k < i; k++)
            if (!disjoint(&pieces->pieces[k], piece)) return false;
    }
    return true;
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = 0, y = 0;
    parse_u64(((const RunRow *)a)->field[RUN_seq], &x);
    parse_u64(((const RunRow *)b)->field[RUN_seq], &y);
    return (x > y) - (x < y);
}

// In the order of the plan.
static RunRows join(const Pieces *pieces, bool rejected)
{
    RunRows all = {0};
    for (unsigned i = 0; i < pieces->count; i++) {
        const RunRows *rows = rejected ? &pieces->pieces[i].rejected : &pieces->pieces[i].results.runs;
        all.rows = xrealloc(all.rows, all.count + rows->count, sizeof *all.rows);
        for (unsigned r = 0; r < rows->count; r++)
            all.rows[all.count++] = rows->rows[r];
    }
    if (all.count) qsort(all.rows, all.count, sizeof *all.rows, by_seq);
    for (unsigned i = 1; i < all.count && !rejected; i++)
        assert(by_seq(&all.rows[i - 1], &all.rows[i]) < 0); // disjoint() has seen to it
    return all;
}

static bool write_counters(const char *dir, const Pieces *pieces)
{
    char *path = xfmt("%s/counters.csv", dir);
    FILE *out = file_create(path);
    for (unsigned i = 0; out && i < pieces->count; i++) {
        const CsvTable *table = &pieces->pieces[i].counters;
        if (i == 0) csv_put_row(out, (const char *const *)table->header, table->columns);
        for (unsigned r = 0; r < table->row_count; r++)
            csv_put_row(out, (const char *const *)table->rows[r], table->columns);
    }
    bool ok = file_finish(out, path);
    free(path);
    return ok;
}

static bool write_text(const char *dir, const char *file, const char *text)
{
    char *path = xfmt("%s/%s", dir, file);
    FILE *out = file_create(path);
    if (out) fputs(text, out);
    bool ok = file_finish(out, path);
    free(path);
    return ok;
}

// <UTC of the first shard>_<name of the folder>: a name that is used again each week is another run each time.
static char *run_id_of(const char *target, const Pieces *pieces)
{
    const char *slash = strrchr(target, '/'), *first = pieces->pieces[0].results.experiment.run_id;
    return xfmt("%.*s_%s", (int)strcspn(first, "_"), first, slash ? slash + 1 : target);
}

// The first shard's manifest, with all the machines.
static bool write_manifest(const char *dir, const char *run_id, const Pieces *pieces)
{
    json_t *root = json_deep_copy(pieces->pieces[0].manifest), *shards = json_array();
    for (unsigned i = 0; i < pieces->count; i++) {
        const json_t *from = pieces->pieces[i].manifest;
        json_array_append_new(shards, json_pack("{s:O, s:O, s:O}", "run_id", json_object_get(from, "run_id"), "host",
                                                json_object_get(from, "host"), "command_line",
                                                json_object_get(from, "command_line")));
    }
    json_object_set_new(root, "shards", shards);
    json_object_set_new(root, "run_id", json_string(run_id));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_DIGITS);
    bool ok = text && write_text(dir, "manifest.json", text);
    free(text);
    json_decref(root);
    return ok;
}

static bool copy_folders(const char *dir, const Piece *piece)
{
    static const char *const folders[] = {"rss", "logs"};
    for (size_t i = 0; i < 2; i++) {
        char *from = xfmt("%s/%s", piece->results.dir, folders[i]), *said;
        const char *argv[] = {"cp", "-r", "--", from, dir, NULL};
        int status = command_output(argv, STDERR_JOINED, &said);
        if (status != 0) hzb_error("cp %s: %s", from, said ? said : "cannot be run");
        free(said);
        free(from);
        if (status != 0) return false;
    }
    return true;
}

static bool fill(const char *dir, const char *run_id, const Pieces *pieces, const RunRows *runs)
{
    RunRows rejected = join(pieces, true);
    char *plots = xfmt("%s/plots", dir);
    bool ok = write_text(dir, "plan.csv", pieces->pieces[0].whole_plan) && record_create(dir) &&
              runs_replace(dir, runs) && write_counters(dir, pieces) && write_manifest(dir, run_id, pieces) &&
              mkdir(plots, 0755) == 0;
    for (unsigned r = 0; ok && r < rejected.count; r++)
        ok = rejected_append(dir, &rejected.rows[r]);
    for (unsigned i = 0; ok && i < pieces->count; i++)
        ok = copy_folders(dir, &pieces->pieces[i]);
    free(rejected.rows);
    free(plots);
    return ok;
}

// Says which cells the whole plan has and no piece.
static HzbExit completeness(const char *dir, const RunRows *runs)
{
    Plan plan;
    StrList lacking = {0};
    unsigned next = 0;
    if (!plan_load(dir, &plan)) return HZB_IO;
    for (unsigned i = 0; i < plan.count; i++) {
        uint64_t seq = 0;
        bool there = next < runs->count && parse_u64(runs->rows[next].field[RUN_seq], &seq) && seq == plan.rows[i].seq;
        next += there;
        if (!there && !list_has(&lacking, plan.rows[i].cell_id)) list_add(&lacking, plan.rows[i].cell_id);
    }
    for (unsigned i = 0; i < lacking.count; i++)
        hzb_error("%s: samples of cell '%s' are missing", dir, lacking.items[i]);
    return lacking.count ? HZB_BAD_SAMPLES : HZB_OK;
}

static HzbExit merge_into(const char *target, const Pieces *pieces)
{
    char *fresh = xfmt("%s.new-XXXXXX", target), *run_id = run_id_of(target, pieces);
    RunRows runs = join(pieces, false);
    if (access(target, F_OK) == 0) {
        hzb_error("-o %s: is there already, expected a new folder", target);
        return HZB_USAGE;
    }
    if (!mkdtemp(fresh)) {
        hzb_error("%s: %s", fresh, strerror(errno));
        return HZB_IO;
    }
    chmod(fresh, 0755);
    bool ok = fill(fresh, run_id, pieces, &runs) && rename(fresh, target) == 0;
    if (!ok) {
        hzb_error("%s: not merged", target);
        folder_remove(fresh);
        return HZB_IO;
    }
    printf("%s\n", target);
    return completeness(target, &runs);
}

HzbExit merge_folders(const StrList *dirs, const char *target)
{
    Pieces pieces = {xcalloc(dirs->count, sizeof(Piece)), dirs->count};
    for (unsigned i = 0; i < pieces.count; i++)
        if (!load_piece(dirs->items[i], &pieces.pieces[i])) return HZB_IO;
    return fit(&pieces) ? merge_into(target, &pieces) : HZB_USAGE;
}
